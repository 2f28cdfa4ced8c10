//! Signature Version 4 of a request, in its headers or in its URL. Pure.

use ring::{digest, hmac};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What is signed instead of a body that nobody has read yet.
pub(crate) const UNREAD: &str = "UNSIGNED-PAYLOAD";

/// The key of a user. It is never printed.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) access: String,
    pub(crate) secret: String,
    /// What belongs to a key that is valid for some hours only.
    pub(crate) token: Option<String>,
}

/// Names with their values, in the order in which they are given.
pub(crate) type Pairs = Vec<(String, String)>;

/// A request before its signature.
pub(crate) struct Plain<'a> {
    pub(crate) method: &'a str,
    /// As in the header `Host`.
    pub(crate) host: &'a str,
    /// Escaped.
    pub(crate) path: &'a str,
    /// Not escaped.
    pub(crate) query: &'a [(String, String)],
    /// Headers that are signed, by their names in lower case.
    pub(crate) headers: &'a [(String, String)],
    /// The SHA-256 of the body in hexadecimal digits, or that it is not signed.
    pub(crate) payload: &'a str,
}

/// Who signs, and when.
pub(crate) struct Signer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) region: &'a str,
    /// As `20260101T000000Z`.
    pub(crate) at: &'a str,
}

impl Signer<'_> {
    /// The headers to add.
    pub(crate) fn headers(&self, plain: &Plain<'_>) -> Pairs {
        let mut added: Pairs = vec![
            ("x-amz-content-sha256".to_owned(), plain.payload.to_owned()),
            ("x-amz-date".to_owned(), self.at.to_owned()),
        ];
        added.extend(self.key.token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
        let mut signed: Pairs = plain.headers.iter().chain(&added).cloned().collect();
        signed.push(("host".to_owned(), plain.host.to_owned()));
        let (names, signature) = self.signature(plain, &plain.query.to_vec(), &mut signed);
        let text = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.key.access,
            self.scope()
        );
        added.push(("authorization".to_owned(), text));
        added
    }

    /// The path and the query of a URL that anybody may use for so many seconds.
    pub(crate) fn url(&self, plain: &Plain<'_>, seconds: u64) -> String {
        let mut query: Pairs = plain.query.to_vec();
        let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
        add("X-Amz-Algorithm", ALGORITHM.to_owned());
        add("X-Amz-Credential", format!("{}/{}", self.key.access, self.scope()));
        add("X-Amz-Date", self.at.to_owned());
        add("X-Amz-Expires", seconds.to_string());
        if let Some(token) = &self.key.token {
            add("X-Amz-Security-Token", token.clone());
        }
        add("X-Amz-SignedHeaders", "host".to_owned());
        let mut signed = vec![("host".to_owned(), plain.host.to_owned())];
        let (_, signature) = self.signature(plain, &query, &mut signed);
        format!("{}?{}&X-Amz-Signature={signature}", plain.path, query_of(&query))
    }

    fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.day(), self.region)
    }

    fn day(&self) -> &str {
        self.at.get(..8).unwrap_or(self.at)
    }

    /// The names of the headers that are signed, and the signature.
    fn signature(&self, plain: &Plain<'_>, query: &Pairs, headers: &mut Pairs) -> (String, String) {
        headers.sort();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let Plain { method, path, payload, .. } = plain;
        let asked = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{payload}", query_of(query));
        let text = format!("{ALGORITHM}\n{}\n{}\n{}", self.at, self.scope(), sha256(asked.as_bytes()));
        let mut key = format!("AWS4{}", self.key.secret).into_bytes();
        for part in [self.day(), self.region, "s3", "aws4_request", &text] {
            let by = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&by, part.as_bytes()).as_ref().to_vec();
        }
        (names, crate::object::hex(&key))
    }
}

/// A query as a URL has it: sorted and escaped.
pub(crate) fn query_of(pairs: &[(String, String)]) -> String {
    let mut all: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| (escaped(name, false), escaped(value, false))).collect();
    all.sort();
    let all: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    all.join("&")
}

/// A text as a URL has it; in a path, slashes stay.
pub(crate) fn escaped(text: &str, path: bool) -> String {
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => all.push(char::from(byte)),
            b'/' if path => all.push('/'),
            _ if byte.is_ascii_alphanumeric() => all.push(char::from(byte)),
            _ => all.push_str(&format!("%{byte:02X}")),
        }
    }
    all
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    crate::object::hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
        Key { access: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret, token: None }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// The examples of the specification.
    #[test]
    fn requests_are_signed_as_the_specification_says() {
        let key = key();
        let signer = Signer { key: &key, region: "us-east-1", at: "20130524T000000Z" };
        let empty = sha256(b"");
        let host = "examplebucket.s3.amazonaws.com";
        let read = |path, query: &[(String, String)], headers: &[(String, String)]| {
            let plain = Plain { method: "GET", host, path, query, headers, payload: &empty };
            let all = signer.headers(&plain);
            all.last().unwrap().1.rsplit_once('=').unwrap().1.to_owned()
        };
        assert_eq!(
            read("/test.txt", &[], &[pair("range", "bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(
            read("/", &[pair("lifecycle", "")], &[]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            read("/", &[pair("prefix", "J"), pair("max-keys", "2")], &[]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        let plain =
            Plain { method: "GET", host, path: "/test.txt", query: &[], headers: &[], payload: UNREAD };
        let url = signer.url(&plain, 86400);
        let end = "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(url.starts_with("/test.txt?X-Amz-Algorithm=") && url.ends_with(end), "{url}");
    }

    #[test]
    fn all_but_letters_digits_and_four_signs_is_escaped() {
        assert_eq!(escaped("a/b c+é~*", true), "a/b%20c%2B%C3%A9~%2A");
        assert_eq!(escaped("a/b", false), "a%2Fb");
        assert_eq!(query_of(&[pair("b", "2"), pair("a", "x=&"), pair("a", "")]), "a=&a=x%3D%26&b=2");
    }
}
