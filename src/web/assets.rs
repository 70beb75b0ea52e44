//! Style, script and icon, compiled into the binary. A URL carries the content's hash, so a browser may
//! keep the file for ever and a new version is asked for at once.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Path;
use actix_web::{HttpResponse, Responder};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The URL of a file of `static/`: `app.css` becomes `/static/app.0123456789ab.css`.
pub(super) fn url(name: &str) -> String {
    let Some(file) = Files::get(name) else {
        return format!("/static/{name}");
    };
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("/static/{stem}.{}.{extension}", hash(&file)),
        None => format!("/static/{name}"),
    }
}

/// The text of a file of `static/`, for a page that has to stand alone; empty where there is none.
pub(super) fn text(name: &str) -> String {
    Files::get(name).map_or_else(String::new, |file| String::from_utf8_lossy(&file.data).into_owned())
}

/// Serves a file under its hashed URL. Under an older hash (a page from before an update) comes what
/// there is now, and no cache keeps it.
pub(super) async fn serve(path: Path<String>) -> impl Responder {
    let Some((name, asked)) = split(&path) else {
        return HttpResponse::NotFound().finish();
    };
    let Some(file) = Files::get(&name) else {
        return HttpResponse::NotFound().finish();
    };
    let cache = if asked == hash(&file) {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind(&name)))
        .insert_header((CACHE_CONTROL, cache))
        .body(file.data.into_owned())
}

fn split(path: &str) -> Option<(String, String)> {
    let (rest, extension) = path.rsplit_once('.')?;
    let (stem, hash) = rest.rsplit_once('.')?;
    Some((format!("{stem}.{extension}"), hash.to_owned()))
}

fn hash(file: &EmbeddedFile) -> String {
    use std::fmt::Write as _;
    file.metadata
        .sha256_hash()
        .iter()
        .take(6)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_content_and_leads_back() {
        let url = url("app.css");
        let path = url.strip_prefix("/static/").expect("prefix");
        let (name, hash) = split(path).expect("two dots");
        assert_eq!(name, "app.css");
        assert_eq!(hash.len(), 12);
    }

    #[test]
    fn the_vendored_script_comes_with_its_licence() {
        assert!(Files::get("vendor/htmx-4.0.1.min.js").is_some());
        assert!(Files::get("vendor/htmx-4.0.1.LICENSE.txt").is_some());
    }
}
