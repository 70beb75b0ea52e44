//! A page on paper: printed by a real browser, read back from the PDF.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::chromium::Chromium;

/// A browser that prints.
pub(crate) struct Printer(Chromium);

impl Printer {
    /// Signed in by a one-time link.
    pub(crate) async fn signed_in(link: &str) -> Self {
        let browser = Chromium::start(true).await;
        browser.client.goto(link).await.expect("signed in");
        Self(browser)
    }

    /// Prints a page as Ctrl+P does, on the paper that it asks for, into `file`; gives the text of each of its pages.
    pub(crate) async fn print(&self, url: &str, file: &Path) -> Vec<String> {
        self.0.client.goto(url).await.expect("page");
        let wishes = json!({ "cmd": "Page.printToPDF", "params": { "preferCSSPageSize": true, "transferMode": "ReturnAsBase64" } });
        let printed = self.0.ask("goog/cdp/execute", wishes).await;
        let data = printed["data"].as_str().unwrap_or_else(|| panic!("no PDF: {printed}"));
        std::fs::write(file, base64(data)).expect("file");
        pages_of(file)
    }

    /// What the browser's console said: a refused style or script is among it.
    pub(crate) async fn console(&self) -> Vec<String> {
        self.0.console().await
    }
}

/// The text of each page of a PDF, laid out as it is printed.
pub(crate) fn pages_of(file: &Path) -> Vec<String> {
    let text = run("pdftotext", &["-layout", &file.to_string_lossy(), "-"]);
    let mut pages: Vec<String> = text.split('\u{c}').map(str::to_owned).collect();
    // Each page ends in a form feed.
    pages.pop();
    pages
}

/// The text of a whole PDF, cell by cell: what a narrow column broke stands together.
pub(crate) fn cells_of(file: &Path) -> String {
    run("pdftotext", &["-raw", &file.to_string_lossy(), "-"])
}

/// What `pdfinfo` says of its paper: `595.92 x 841.92 pts (A4)`.
pub(crate) fn size_of(file: &Path) -> String {
    let text = run("pdfinfo", &[&file.to_string_lossy()]);
    let line = text.lines().find_map(|line| line.strip_prefix("Page size:"));
    line.unwrap_or_default().trim().to_owned()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|why| panic!("{program} (Debian: poppler-utils): {why}"));
    assert!(
        ran.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for sign in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == sign) else {
            continue;
        };
        bits = bits << 6 | u32::try_from(value).expect("small");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("a byte"));
        }
    }
    bytes
}
