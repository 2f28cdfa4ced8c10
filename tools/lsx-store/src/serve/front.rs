//! What is refused before anything else is looked at: old signatures, URLs that are valid for too long, forms.

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse, S3Error, S3ErrorCode, s3_error};

/// The longest time in seconds that a URL may be valid: a week, as S3 has it.
const LONGEST: u64 = 7 * 24 * 3600;

/// Answers a request.
pub(super) async fn answer(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<HttpResponse, HttpError> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let refusal = refused(query, header(AUTHORIZATION), header(CONTENT_TYPE));
    let mut unable =
        request.headers().iter().filter_map(|(name, value)| unable(name.as_str(), value.as_bytes()));
    let refusal = refusal.or_else(|| unable.next());
    let whole = request.body().is_end_stream();
    let mut reply = match refusal {
        Some(error) => error.to_http_response().map_err(|e| HttpError::new(Box::new(e)))?,
        None => service.call(request.map(Body::from)).await?,
    };
    // What is left of the body is not read, and the next request is not looked for behind it.
    if !whole && reply.status().as_u16() >= 400 {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(reply)
}

/// Why a request is refused, by its query and two of its headers.
fn refused(query: &str, authorization: &str, kind: &str) -> Option<S3Error> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    for (name, value) in pairs {
        match name.to_ascii_lowercase().as_str() {
            "signature" | "awsaccesskeyid" => return Some(old()),
            "x-amz-expires" => {
                let valid = value.parse::<u64>().is_ok_and(|time| (1..=LONGEST).contains(&time));
                if !valid {
                    let code = S3ErrorCode::Custom("AuthorizationQueryParametersError".into());
                    let mut error = S3Error::with_message(code, "X-Amz-Expires must be from 1 to 604800");
                    error.set_status_code(hyper::StatusCode::BAD_REQUEST);
                    return Some(error);
                }
            }
            _ => {}
        }
    }
    if authorization.starts_with("AWS ") || authorization.starts_with("AWS\t") {
        return Some(old());
    }
    let form = kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data");
    form.then(|| s3_error!(NotImplemented, "forms are not supported"))
}

/// Headers that ask for what is not there: with them, `ok` would be a lie.
const UNABLE: [&str; 9] = [
    "x-amz-copy-source-server-side-encryption",
    "x-amz-expected-bucket-owner",
    "x-amz-grant-",
    "x-amz-mfa",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-source-expected-bucket-owner",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Why a header is refused.
fn unable(name: &str, value: &[u8]) -> Option<S3Error> {
    let odd = match name {
        "x-amz-acl" => value != b"private" && value != b"bucket-owner-full-control",
        "x-amz-storage-class" => value != b"STANDARD",
        _ => UNABLE.iter().any(|unable| name.starts_with(unable)),
    };
    odd.then(|| s3_error!(NotImplemented, "{name} is not supported"))
}

fn old() -> S3Error {
    s3_error!(InvalidRequest, "Signature Version 2 is not supported; use AWS4-HMAC-SHA256")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::Dice;

    #[test]
    fn old_signatures_long_urls_and_forms_are_refused() {
        let code = |query: &str, authorization: &str, kind: &str| {
            refused(query, authorization, kind).map(|error| error.code().as_str().to_owned())
        };
        assert_eq!(code("list-type=2&X-Amz-Expires=604800", "AWS4-HMAC-SHA256 x", "text/plain"), None);
        for (query, authorization, kind) in [
            ("a&Signature=x", "", ""),
            ("AWSAccessKeyId=x", "", ""),
            ("X-Amz-Expires=604801", "", ""),
            ("X-Amz-Expires=0", "", ""),
            ("x-amz-expires=-1", "", ""),
            ("X-Amz-Expires=99999999999999999999999", "", ""),
            ("", "AWS a:b", ""),
            ("", "", "Multipart/Form-Data; boundary=x"),
        ] {
            assert!(code(query, authorization, kind).is_some(), "{query} {authorization} {kind}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_promised() {
        for (name, value, good) in [
            ("x-amz-acl", "private", true),
            ("x-amz-acl", "public-read", false),
            ("x-amz-storage-class", "STANDARD", true),
            ("x-amz-storage-class", "GLACIER", false),
            ("x-amz-tagging", "a=b", true),
            ("x-amz-tagging-directive", "COPY", true),
            ("x-amz-server-side-encryption-customer-key", "x", false),
            ("x-amz-grant-read", "x", false),
            ("x-amz-meta-grant", "x", true),
        ] {
            assert_eq!(unable(name, value.as_bytes()).is_none(), good, "{name}: {value}");
        }
    }

    #[test]
    fn nothing_panics_on_any_query() {
        let mut dice = Dice(5);
        let parts = ["&", "=", "X-Amz-Expires", "Signature", "%", "1", "", "é", "\u{0}", "604800"];
        for _ in 0..20_000 {
            let query: String = (0..dice.below(12)).map(|_| parts[dice.below(parts.len())]).collect();
            let _ = refused(&query, &query, &query);
        }
    }
}
