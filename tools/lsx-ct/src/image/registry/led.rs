//! URLs that a registry refers to: for tokens, or for blobs.

use super::access::Login;
use super::client::Client;
use super::login;
use super::names::led;
use crate::image::{limits, refused};
use common::Failure;
use serde::Deserialize;
use ureq::http::Uri;

/// Some registries send both with the same value.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client<'_> {
    /// Checks a URL that the registry refers to.
    pub(super) fn led(&self, from: &str, to: &str, what: &str) -> Result<String, Failure> {
        let told = |why: &str| {
            refused("redirect", format!("{} redirects {what} to {to:?}, which is not allowed", self.host))
                .because(why)
        };
        let whole = match to {
            path if path.starts_with('/') && !path.starts_with("//") => {
                let end = from.find("://").and_then(|at| from[at + 3..].find('/').map(|end| at + 3 + end));
                format!("{}{path}", &from[..end.unwrap_or(from.len())])
            }
            whole => whole.to_owned(),
        };
        let uri: Uri = whole.parse().map_err(|_| told("it is not a URL"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.plain => {}
            Some("http") => return Err(told("it does not use TLS, but the registry does")),
            _ => return Err(told("only https: is allowed")),
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(told("it contains a user name, or no host"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            led(&self.home, host, address).map_err(|e| told(&e.to_string()))?;
        }
        Ok(whole)
    }

    /// The authorization that the registry asks for: a token from the URL that it names, or the login itself.
    pub(super) fn passed(&self, challenge: &str, method: &str) -> Result<String, Failure> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let login = login::find(self.access, &self.host)?;
        if scheme.eq_ignore_ascii_case("basic") {
            return login.as_ref().map(Login::header).ok_or_else(|| self.denied("it requires a login"));
        }
        let field = |name: &str| {
            let (_, after) = rest.split_once(&format!("{name}=\""))?;
            Some(after.split('"').next().unwrap_or_default())
        };
        let realm = field("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")).unwrap_or_default();
        if realm.is_empty() {
            return Err(self.denied(&format!("it asks for {challenge:?}, which is not supported")));
        }
        let realm = self.led(&self.base, realm, "a request for a token")?;
        let acts = if matches!(method, "GET" | "HEAD") { "pull" } else { "pull,push" };
        let scope =
            field("scope").map_or_else(|| format!("repository:{}:{acts}", self.repository), str::to_owned);
        let mut request = self.away.get(&realm).query("scope", scope);
        if let Some(service) = field("service") {
            request = request.query("service", service);
        }
        if let Some(login) = &login {
            let host =
                realm.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|a| a.as_str().to_owned()));
            if !login::may_have(host.as_deref().unwrap_or_default(), &self.host) {
                return Err(refused("realm", format!("{} asks to send its login to {realm:?}", self.host))
                    .because("that is in another domain")
                    .hint("nothing was sent; pull without a login, or ask the registry's owner"));
            }
            request = request.header("authorization", login.header());
        }
        let answer = request.call().map_err(|e| self.broke(e))?;
        if answer.status() != 200 {
            return Err(self.denied("the login was not accepted"));
        }
        let text = self.text(answer, limits::ANSWER)?;
        let token = serde_json::from_slice::<Token>(&text).ok().and_then(|t| t.token.or(t.access_token));
        let token = token.filter(|t| !t.is_empty() && t.bytes().all(|byte| byte.is_ascii_graphic()));
        let unread = || refused("registry", format!("{}: its token cannot be read", self.host));
        token.map(|token| format!("Bearer {token}")).ok_or_else(unread)
    }
}
