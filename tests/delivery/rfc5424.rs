//! A strict reader of RFC 5424 messages, written after the RFC's grammar and not after our writer.

use std::collections::BTreeMap;

/// A message, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) facility: u16,
    pub(crate) severity: u16,
    pub(crate) timestamp: String,
    pub(crate) hostname: String,
    pub(crate) app_name: String,
    pub(crate) procid: String,
    pub(crate) msgid: String,
    pub(crate) sd_id: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) msg: String,
}

impl Message {
    pub(crate) fn id(&self) -> i64 {
        self.params["id"].parse().expect("an id")
    }
}

/// Reads one, or panics with what is wrong.
pub(crate) fn read(bytes: &[u8]) -> Message {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(!text.chars().any(char::is_control), "no control characters: {text:?}");
    let rest = text.strip_prefix('<').expect("PRI");
    let (pri, rest) = rest.split_once('>').expect("PRI ends");
    assert!(
        (1..=3).contains(&pri.len()) && (pri == "0" || !pri.starts_with('0')),
        "{pri}"
    );
    let pri: u16 = pri.parse().expect("a number");
    assert!(pri <= 191, "{pri}");
    let rest = rest.strip_prefix("1 ").expect("VERSION 1");
    let mut words = rest.splitn(6, ' ');
    let mut word = |name: &str, most: usize| {
        let word = words.next().unwrap_or_else(|| panic!("{name}: {text}")).to_owned();
        let fits = !word.is_empty() && word.len() <= most && word.bytes().all(|byte| (33..=126).contains(&byte));
        assert!(fits, "{name}: {word:?}");
        word
    };
    let timestamp = word("TIMESTAMP", 32);
    let hostname = word("HOSTNAME", 255);
    let app_name = word("APP-NAME", 48);
    let procid = word("PROCID", 128);
    let msgid = word("MSGID", 32);
    timestamp.parse::<jiff::Timestamp>().expect("RFC 3339");
    let fraction = timestamp.split_once('.').expect("a fraction").1.trim_end_matches('Z');
    assert!(fraction.len() <= 6, "{timestamp}");
    let rest = words.next().expect("STRUCTURED-DATA");
    let rest = rest.strip_prefix('[').expect("an SD-ELEMENT");
    let end = rest.find([' ', ']']).expect("SD-ID ends");
    let sd_id = rest[..end].to_owned();
    let mut rest = &rest[end..];
    let mut params = BTreeMap::new();
    while let Some(param) = rest.strip_prefix(' ') {
        let (name, value) = param.split_once("=\"").expect("PARAM-NAME=\"");
        let fits = !name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| (33..=126).contains(&byte));
        assert!(fits && !name.contains(['=', ']', '"']), "{name:?}");
        let mut plain = String::new();
        let mut letters = value.char_indices();
        rest = loop {
            match letters.next().expect("PARAM-VALUE ends") {
                (at, '"') => break &value[at + 1..],
                (_, ']') => panic!("an unescaped ] in {value}"),
                (_, '\\') => {
                    let (_, escaped) = letters.next().expect("what is escaped");
                    assert!(matches!(escaped, '"' | '\\' | ']'), "\\{escaped}");
                    plain.push(escaped);
                }
                (_, plainly) => plain.push(plainly),
            }
        };
        assert!(params.insert(name.to_owned(), plain).is_none(), "{name} twice");
    }
    let msg = rest.strip_prefix("] ").expect("MSG behind STRUCTURED-DATA").to_owned();
    Message {
        facility: pri / 8,
        severity: pri % 8,
        timestamp,
        hostname,
        app_name,
        procid,
        msgid,
        sd_id,
        params,
        msg,
    }
}
