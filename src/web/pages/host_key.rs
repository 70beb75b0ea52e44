//! The key that a host shows while it is not known, or another one is: to be compared, and accepted.

use actix_web::HttpResponse;
use actix_web::web::{Data, Form, Path, ReqData};

use crate::domain::{Ask, Fingerprint, HostName, Invalid};
use crate::engine::ShownKey;

use super::super::error::{Problem, bad_form};
use super::super::fields::Fields;
use super::super::{Visitor, Web};

/// A part of the host's page. It stands beside what is drawn anew by itself: a key never changes under somebody's eyes,
/// and what the form sends is what they have read.
pub(super) struct KeyView {
    /// Its type, as `ssh-keygen -l` says it.
    pub(super) kind: String,
    pub(super) fingerprint: String,
    /// The keys that were known, by type and fingerprint; none where the host is new.
    pub(super) known: Vec<(String, String)>,
    pub(super) revoked: bool,
    /// What prints the fingerprint on the host.
    pub(super) line: String,
    /// Whether they may accept it.
    pub(super) mine: bool,
}

impl KeyView {
    pub(super) fn new(shown: &ShownKey, visitor: &Visitor) -> Self {
        Self {
            kind: shown.key.word().to_owned(),
            fingerprint: shown.key.fingerprint.to_string(),
            known: (shown.known.iter())
                .map(|key| (key.word().to_owned(), key.fingerprint.to_string()))
                .collect(),
            revoked: shown.revoked,
            line: shown.key.line_on_host(),
            mine: visitor.may(Ask::Hosts),
        }
    }
}

/// Takes the key that was shown as the host's own, and contacts the host.
pub(in crate::web) async fn accept(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    form: Result<Form<Vec<(String, String)>>, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::form(form.map_err(|why| bad_form(&why))?.into_inner());
    let name: HostName = name.parse().map_err(|_| Problem::missing("That host"))?;
    let wanted = fields
        .parse::<Fingerprint>("fingerprint")?
        .ok_or_else(|| Invalid::new("fingerprint", "is missing"))?;
    if fields.text("compared").is_none() {
        let problem = "the key is accepted only once it was compared with the host's own; tick that it was";
        return Err(Invalid::new("compared", problem).into());
    }
    let tested = web.engine.accept_key(&name, &wanted, visitor.by()).await?;
    super::host::answer_test(&web, &visitor, name, &tested).await
}
