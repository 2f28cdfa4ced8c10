//! Certificates of authorities, from a PEM file of the operator.

use common::{Failure, Kind};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::path::Path;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// The largest file, in bytes.
const MOST: u64 = 64 * 1024;

/// The certificates of a PEM file and nothing else of it: a private key beside them must not reach the hosts.
///
/// # Errors
/// If there is no such file, it contains no certificate, or one that is damaged.
pub(super) fn read(path: &Path, code: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(Kind::Data, code, format!("{}: {why}", path.display()));
    let bytes = common::host::file::read_at_most(path, MOST)?
        .ok_or_else(|| wrong("no such file").hint("paths are relative to the document, or to --base"))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text in PEM format"))?;
    let mut all = String::new();
    let mut rest = 0;
    while let Some(begin) = text[rest..].find(BEGIN).map(|at| rest + at) {
        let line = text[..begin].lines().count() + 1;
        let damaged = |why: &str| {
            Failure::new(Kind::Data, code, format!("{}:{line}: the certificate is damaged", path.display()))
                .because(why)
                .hint("`openssl x509 -in FILE -text` shows it; copy the file again")
        };
        let end = text[begin..].find(END).ok_or_else(|| damaged("its last line is missing"))?;
        rest = begin + end + END.len();
        sound(&text[begin..rest]).map_err(|why| damaged(&why))?;
        all.push_str(&text[begin..rest]);
        all.push('\n');
    }
    match all.is_empty() {
        false => Ok(all),
        true => Err(wrong("it contains no certificate").hint(format!("it must contain {BEGIN}"))),
    }
}

/// Whether TLS can use it as an authority.
fn sound(pem: &str) -> Result<(), String> {
    let certificate = ureq::tls::Certificate::from_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
    let der = CertificateDer::from(certificate.der().to_vec());
    RootCertStore::empty().add(der).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::host::Program;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn only_certificates_are_taken_and_damaged_ones_are_told_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -keyout";
        let made = Program::new("openssl").args(words.split(' ')).args([path("key")]);
        made.args([Path::new("-out"), &path("pem")]).run(b"").unwrap();
        let [key, pem] = ["key", "pem"].map(|name| std::fs::read_to_string(path(name)).unwrap());
        let told = |text: &str| {
            std::fs::write(path("file"), text).unwrap();
            read(&path("file"), "ct.registry.ca")
        };
        let all = told(&format!("a remark\n{key}{pem}\n{pem}")).unwrap();
        assert_eq!(all, format!("{pem}{pem}"), "the key is not taken");
        let body = pem.lines().nth(1).unwrap();
        let lines = key.lines().count() + 1;
        for (text, why) in [
            (key.clone(), "file: it contains no certificate".to_owned()),
            (String::new(), "file: it contains no certificate".to_owned()),
            (
                format!("{key}{}", pem.replace(body, "AAAA")),
                format!("file:{lines}: the certificate is damaged"),
            ),
            (pem.replace(body, "%%%%"), "file:1: the certificate is damaged".to_owned()),
            (pem.replace(END, ""), "its last line is missing".to_owned()),
            (format!("{pem}{BEGIN}\n{END}\n"), "the certificate is damaged".to_owned()),
        ] {
            let failure = told(&text).unwrap_err();
            assert!(failure.code == "ct.registry.ca" && failure.kind == Kind::Data, "{failure}");
            assert!(failure.to_string().contains(&why), "{why} is not in\n{failure}");
            assert!(!failure.to_string().contains(body), "{failure}");
        }
        let none = read(&path("none"), "ct.ready.ca").unwrap_err();
        assert!(none.message.contains("no such file"), "{none}");
        std::fs::write(path("file"), [0xff, 0xfe]).unwrap();
        assert!(read(&path("file"), "ct.ready.ca").unwrap_err().message.contains("not text in PEM format"));
    }
}
