//! An authority on the operator's machine that signs certificates for hosts, by openssl.

use lsx_tests::lab::{Lab, Ran};

/// An authority on the operator's machine, and the names of what it signed.
pub(crate) const AUTHORITY: &str = "
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj '/CN=test authority' -keyout ca.key -out ca.pem 2>/dev/null";

/// A certificate for NAME that ends in DAYS days, in FOLDER; key and chain in the two files that are wanted.
const SIGN: &str = "
    mkdir -p FOLDER
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout FOLDER/KEY -out server.csr 2>/dev/null
    chmod 600 FOLDER/KEY
    printf 'subjectAltName=DNS:NAME\\nbasicConstraints=CA:false\\n' >server.ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days DAYS -extfile server.ext -out server.pem 2>/dev/null
    cat server.pem ca.pem >FOLDER/fullchain.pem";

/// Runs a script in the folder of the authority.
pub(crate) fn here(lab: &Lab, script: &str) -> Ran {
    let folder = lab.folder.path().to_str().unwrap().to_owned();
    lab.run(&["sh", "-ec", &format!("cd {folder}\n{script}")])
}

/// Makes a certificate; key and chain are in one file in the folder of the test.
pub(crate) fn sign_into(lab: &Lab, name: &str, file: &str) {
    let script =
        SIGN.replace("NAME", name).replace("DAYS", "29").replace("FOLDER", "made").replace("KEY", "key.pem");
    here(lab, &format!("{script}\numask 077; cat made/fullchain.pem made/key.pem >{file}")).ok();
}

/// Makes a certificate and puts it on the host: the key first, so that the two do not match for a moment.
pub(crate) fn sign(lab: &Lab, name: &str, key: &str, days: u32, to: &str) {
    let script = SIGN
        .replace("NAME", name)
        .replace("DAYS", &days.to_string())
        .replace("FOLDER", "made")
        .replace("KEY", key);
    let copy = format!("for file in {key} fullchain.pem; do cat made/$file; echo @; done");
    let made = here(lab, &format!("{script}\n{copy}")).ok().stdout;
    let mut parts = made.split("@\n");
    for file in [key, "fullchain.pem"] {
        let text = parts.next().unwrap();
        lab.script(
            "h1",
            &format!("mkdir -p {to}; umask 077; cat >{to}/new <<'PEM'\n{text}PEM\nmv {to}/new {to}/{file}"),
        )
        .ok();
    }
}
