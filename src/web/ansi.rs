//! Output of hosts as HTML: every character escaped, colours and weights as classes of our own, every
//! other control sequence dropped. A host cannot put anything but text on a page.

use vte::{Params, Parser, Perform};

/// How the next character is written. Travels between two pieces of one output as a short text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Pen {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    fore: Option<u8>,
    back: Option<u8>,
}

/// A piece of output, drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) html: String,
    /// Bytes that were used; what is left is the beginning of a character or sequence whose end is not here yet.
    pub(super) used: usize,
    /// For the piece that follows.
    pub(super) pen: Pen,
}

/// More than this is never held back for the end of a sequence.
const HELD: usize = 4_096;

/// Draws a piece of output. With `whole`, nothing is held back: no more will come.
pub(super) fn draw(bytes: &[u8], pen: Pen, whole: bool) -> Drawn {
    let mut parser = Parser::new();
    let mut page = Page {
        html: String::with_capacity(bytes.len() + bytes.len() / 8),
        pen,
        open: false,
        acted: false,
        returned: false,
    };
    let mut used = 0;
    // A return may be the first half of a line's end.
    let all = bytes;
    let bytes = if whole {
        all
    } else {
        all.strip_suffix(b"\r").unwrap_or(all)
    };
    for (at, byte) in bytes.iter().enumerate() {
        page.acted = false;
        parser.advance(&mut page, std::slice::from_ref(byte));
        if page.acted {
            used = at + 1;
        }
    }
    if whole || bytes.len() - used > HELD {
        used = bytes.len();
    }
    page.close();
    Drawn {
        html: page.html,
        used,
        pen: page.pen,
    }
}

struct Page {
    html: String,
    pen: Pen,
    open: bool,
    acted: bool,
    returned: bool,
}

impl Page {
    fn close(&mut self) {
        if self.open {
            self.html.push_str("</span>");
            self.open = false;
        }
    }

    fn put(&mut self, c: char) {
        self.returned = false;
        if !self.open
            && let Some(classes) = self.pen.classes()
        {
            self.html.push_str("<span class=\"");
            self.html.push_str(&classes);
            self.html.push_str("\">");
            self.open = true;
        }
        match c {
            '<' => self.html.push_str("&lt;"),
            '>' => self.html.push_str("&gt;"),
            '&' => self.html.push_str("&amp;"),
            '"' => self.html.push_str("&#34;"),
            '\'' => self.html.push_str("&#39;"),
            // Marks that turn the direction of writing can make a line show other than it says.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}' => {
                self.html.push('\u{fffd}');
            }
            c => self.html.push(c),
        }
    }
}

impl Perform for Page {
    fn print(&mut self, c: char) {
        self.acted = true;
        self.put(c);
    }

    fn execute(&mut self, byte: u8) {
        self.acted = true;
        match byte {
            b'\n' if self.returned => self.returned = false,
            b'\n' => self.put('\n'),
            b'\t' => self.put('\t'),
            // A bar that redraws its line becomes one line for each state; `\r\n` is one line's end.
            b'\r' => {
                self.put('\n');
                self.returned = true;
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.acted = true;
        if action == 'm' && intermediates.is_empty() && !ignore {
            self.close();
            self.pen.select(params);
        }
    }

    fn esc_dispatch(&mut self, _intermediates: &[u8], _ignore: bool, _byte: u8) {
        self.acted = true;
    }

    fn osc_dispatch(&mut self, _params: &[&[u8]], _bell_terminated: bool) {
        self.acted = true;
    }

    fn unhook(&mut self) {
        self.acted = true;
    }
}

impl Pen {
    fn select(&mut self, params: &Params) {
        let mut params = params
            .iter()
            .map(|param| (param.first().copied().unwrap_or(0), param.len()));
        while let Some((code, parts)) = params.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.fore = u8::try_from(code - 30).ok(),
                39 => self.fore = None,
                40..=47 => self.back = u8::try_from(code - 40).ok(),
                49 => self.back = None,
                90..=97 => self.fore = u8::try_from(code - 82).ok(),
                100..=107 => self.back = u8::try_from(code - 92).ok(),
                // 256 and true colours: the sixteen that have a class are kept, the rest is plain.
                38 | 48 if parts == 1 => {
                    let colour = match params.next() {
                        Some((5, _)) => params
                            .next()
                            .and_then(|(n, _)| u8::try_from(n).ok())
                            .filter(|n| *n < 16),
                        Some((2, _)) => {
                            params.by_ref().take(3).for_each(drop);
                            None
                        }
                        _ => None,
                    };
                    if code == 38 {
                        self.fore = colour;
                    } else {
                        self.back = colour;
                    }
                }
                _ => {}
            }
        }
    }

    fn classes(self) -> Option<String> {
        if self == Self::default() {
            return None;
        }
        let mut classes = Vec::new();
        for (set, class) in [
            (self.bold, "t-bold"),
            (self.dim, "t-dim"),
            (self.italic, "t-italic"),
            (self.underline, "t-under"),
        ] {
            if set {
                classes.push(class.to_owned());
            }
        }
        classes.extend(self.fore.map(|colour| format!("t-f{colour}")));
        classes.extend(self.back.map(|colour| format!("t-b{colour}")));
        Some(classes.join(" "))
    }

    /// For the request that asks for the next piece.
    pub(super) fn text(self) -> String {
        let set = |on, letter| if on { letter } else { "" };
        let colour = |colour: Option<u8>| colour.map_or_else(|| "-".to_owned(), |colour| colour.to_string());
        format!(
            "{}{}{}{}.{}.{}",
            set(self.bold, "b"),
            set(self.dim, "d"),
            set(self.italic, "i"),
            set(self.underline, "u"),
            colour(self.fore),
            colour(self.back)
        )
    }

    /// Reads [`Pen::text`]; anything else is a plain pen.
    pub(super) fn read(text: &str) -> Self {
        let mut parts = text.split('.');
        let marks = parts.next().unwrap_or_default();
        let mut colour = || parts.next().and_then(|n| n.parse().ok()).filter(|n: &u8| *n < 16);
        Self {
            bold: marks.contains('b'),
            dim: marks.contains('d'),
            italic: marks.contains('i'),
            underline: marks.contains('u'),
            fore: colour(),
            back: colour(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        draw(text.as_bytes(), Pen::default(), true).html
    }

    #[test]
    fn what_a_host_writes_is_only_text() {
        assert_eq!(
            html("<script>alert('x')</script> & \"q\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;q&#34;"
        );
        assert_eq!(html("a\0b\u{7}c\u{202e}d"), "abc\u{fffd}d");
        assert_eq!(html("\u{1b}]0;title\u{7}x\u{1b}[2Jy\u{1b}[10;10Hz"), "xyz");
        assert_eq!(html("\u{1b}]8;;javascript:alert(1)\u{7}link\u{1b}]8;;\u{7}"), "link");
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(
            html("\u{1b}[1;31merror:\u{1b}[0m no"),
            "<span class=\"t-bold t-f1\">error:</span> no"
        );
        assert_eq!(
            html("\u{1b}[38;5;200mx\u{1b}[38;2;1;2;3my\u{1b}[92mz"),
            "xy<span class=\"t-f10\">z</span>"
        );
    }

    #[test]
    fn lines_end_once() {
        assert_eq!(html("a\r\nb\r10%\r20%\n"), "a\nb\n10%\n20%\n");
    }

    #[test]
    fn what_is_cut_in_the_middle_waits_for_its_end() {
        let text = "ä\u{1b}[31mrot ü".as_bytes();
        for cut in 0..=text.len() {
            let first = draw(&text[..cut], Pen::default(), false);
            let second = draw(&text[first.used..], Pen::read(&first.pen.text()), true);
            let seen: String = format!("{}{}", first.html, second.html)
                .replace("<span class=\"t-f1\">", "")
                .replace("</span>", "");
            assert_eq!(seen, "ärot ü", "cut at {cut}");
        }
        let endless = [b"\x1b]0;".as_slice(), &[b'x'; 10_000]].concat();
        assert_eq!(draw(&endless, Pen::default(), false).used, endless.len());
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(draw(b"a\xff\xfeb", Pen::default(), true).html, "a\u{fffd}\u{fffd}b");
    }
}
