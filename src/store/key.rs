//! The file of the key that signs checkpoints: PKCS #8 in PEM, for its owner alone.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::{OpenError, OpenSettings};
use crate::domain::{Invalid, SigningKey};

const FILE: &str = "checkpoint.key";

/// Reads the key; in the data folder it is made where there is none. Whether it was in the data folder already.
pub(super) fn load_or_make(settings: &OpenSettings) -> Result<(SigningKey, bool), OpenError> {
    let own = settings.data_dir.join(FILE);
    let path = settings.checkpoint_key.as_deref().unwrap_or(&own);
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let had_key = settings.checkpoint_key.is_none() && own.exists();
    let pem = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && settings.checkpoint_key.is_none() => {
            let pem = SigningKey::generate()
                .map(|der| pem(&der))
                .map_err(|why| io(invalid(&why)))?;
            write(&settings.data_dir, pem.as_bytes()).map_err(io)?;
            pem.into_bytes()
        }
        read => read.map_err(io)?,
    };
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|why| {
        io(invalid(&Invalid::new(
            "key",
            format!("it is no PKCS #8 in PEM ({why})"),
        )))
    })?;
    let key = SigningKey::from_pkcs8(der.secret_pkcs8_der()).map_err(|why| io(invalid(&why)))?;
    Ok((key, had_key))
}

fn invalid(why: &Invalid) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, why.to_string())
}

fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .filter_map(|at| text.get(at..text.len().min(at + 64)))
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// Whole or not at all, and on disk before anything is signed with it.
fn write(data_dir: &Path, pem: &[u8]) -> std::io::Result<()> {
    let new = data_dir.join("checkpoint.key.new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(pem)?;
    file.sync_all()?;
    std::fs::rename(&new, data_dir.join(FILE))?;
    std::fs::File::open(data_dir)?.sync_all()
}
