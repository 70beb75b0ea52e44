//! Secrets: made, hashed, compared. Nothing in here is logged, and no secret has a `Debug`.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};
use subtle::ConstantTimeEq as _;
use totp_rs::{Builder, Secret, Totp};

use crate::domain::{Digest, Invalid};

use super::super::EngineError;

/// What is stored of a secret that is random enough to need no salt.
#[must_use]
pub fn hash_of(secret: &str) -> String {
    Digest::of(secret.as_bytes()).to_string()
}

/// So many random bytes, in lower-case hex.
pub(super) fn random_hex<const BYTES: usize>() -> Result<String, EngineError> {
    use std::fmt::Write as _;
    let bytes = random::<BYTES>()?;
    Ok(bytes.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], EngineError> {
    let mut bytes = [0u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|why| EngineError::Internal(format!("no randomness: {why}")))?;
    Ok(bytes)
}

/// A password's hash as a PHC string of argon2id. Takes tens of milliseconds and 19 MiB: on a blocking thread.
pub(super) fn hash_password(password: &str) -> Result<String, EngineError> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|why| EngineError::Internal(format!("the password could not be hashed: {why}")))?;
    Ok(hash.to_string())
}

/// What a hash is made in. Used again by the next one: the allocator does not give such pieces back.
pub(super) type Memory = Vec<Block>;

/// Whether this is the password of this hash. Takes the same time either way.
pub(super) fn password_fits(password: &str, hash: &str, memory: &mut Memory) -> bool {
    output_for(password, hash, memory).is_some_and(|(made, known)| made.ct_eq(&known).into())
}

/// What the password gives with the hash's own salt and parameters, and what it should give.
fn output_for(password: &str, hash: &str, memory: &mut Memory) -> Option<(Vec<u8>, Vec<u8>)> {
    let hash = PasswordHash::new(hash).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_ref()).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    let known = hash.hash?.as_bytes().to_vec();
    memory.resize(params.block_count(), Block::new());
    let mut made = vec![0; known.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.as_bytes(), hash.salt.as_ref()?, &mut made, memory)
        .ok()?;
    Some((made, known))
}

/// What a password has to be.
pub(super) fn check_password(name: &str, password: &str) -> Result<(), Invalid> {
    let wrong = |problem: &str| Err(Invalid::new("password", problem));
    if password.chars().count() < 10 {
        return wrong("must have 10 characters or more; three or four random words are good");
    }
    if password.chars().count() > 1024 {
        return wrong("must have 1024 characters or fewer");
    }
    if password.to_lowercase().contains(&name.to_lowercase()) && password.len() < name.len() + 8 {
        return wrong("must not be the name with a little added");
    }
    Ok(())
}

/// What names of users and tokens are made of.
pub(super) fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if fits {
        return Ok(());
    }
    Err(Invalid::new(
        "name",
        "must be 1 to 64 lower-case letters, digits, “-”, “_” or “.”, beginning with a letter or digit",
    ))
}

/// A new secret for a second factor, in base32.
pub(super) fn new_totp_secret() -> Result<String, EngineError> {
    Ok(Secret::from(random::<20>()?).to_base32())
}

/// The second factor of this secret: SHA-1, six digits, 30 s, one step of tolerance, as every app has it.
pub(super) fn totp(name: &str, secret: &str) -> Result<Totp, Invalid> {
    let wrong = || Invalid::new("secret", "is no secret of a second factor; open the page again");
    let secret = Secret::try_from_base32(secret).map_err(|_| wrong())?;
    Builder::new()
        .with_secret(secret)
        .with_account_name(name)
        .with_issuer(Some("Quarterdeck"))
        .build()
        .map_err(|_| wrong())
}

/// The time step for which this is the code, now or one step around.
pub(super) fn step_of_code(totp: &Totp, code: &str, now_secs: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let step = totp.check(&code, u64::try_from(now_secs).ok()?)?;
    i64::try_from(step).ok()
}

/// Ten recovery codes, each of 80 random bits: `ab12c-3d4e5-f6a7b-8c9d0`.
pub(super) fn new_recovery_codes() -> Result<Vec<String>, EngineError> {
    (0..10)
        .map(|_| {
            let hex = random_hex::<10>()?;
            Ok([&hex[..5], &hex[5..10], &hex[10..15], &hex[15..]].join("-"))
        })
        .collect()
}

/// What is stored of a recovery code, however it was typed.
pub(super) fn hash_of_recovery_code(code: &str) -> Option<String> {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    (plain.len() == 20).then(|| hash_of(&plain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = hash_password("correct horse battery").expect("hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let mut memory = Memory::new();
        for _ in 0..2 {
            assert!(password_fits("correct horse battery", &hash, &mut memory));
            assert!(!password_fits("correct horse batterz", &hash, &mut memory));
            assert!(!password_fits("", &hash, &mut memory));
        }
        assert!(!password_fits("correct horse battery", "no hash", &mut memory));
        // Made elsewhere, with other parameters.
        let other = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(password_fits("password", other, &mut memory));
        assert!(!password_fits("passwore", other, &mut memory));
    }

    #[test]
    fn bad_passwords_and_names_are_refused() {
        assert!(check_password("alice", "correct horse").is_ok());
        for password in ["short", "alice12345", &"x".repeat(2000)] {
            assert!(check_password("alice", password).is_err(), "{password}");
        }
        for name in ["alice", "a", "ci-2.x", "9lives"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Alice", "-a", "a b", "a:b", "a@b", "ä", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_code_is_known_by_its_step() {
        let secret = new_totp_secret().expect("secret");
        let totp = totp("alice", &secret).expect("totp");
        let at = 1_700_000_000;
        let code = totp.generate(at).to_string();
        let now = i64::try_from(at).expect("small");
        assert_eq!(step_of_code(&totp, &code, now), Some(now / 30));
        assert_eq!(step_of_code(&totp, &code, now + 30), Some(now / 30));
        assert_eq!(step_of_code(&totp, &code, now + 90), None);
        for wrong in ["", "12345", "1234567", "abcdef", "００００００"] {
            assert_eq!(step_of_code(&totp, wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let codes = new_recovery_codes().expect("codes");
        assert_eq!(codes.len(), 10);
        let hash = hash_of_recovery_code(&codes[0]).expect("hash");
        let typed = codes[0].to_uppercase().replace('-', " ");
        assert_eq!(hash_of_recovery_code(&typed), Some(hash));
        assert_eq!(hash_of_recovery_code("123456"), None);
    }
}
