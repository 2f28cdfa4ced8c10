//! Session tokens: who has one was able to send a PUT with a header of its own, which a program that is tricked into fetching an address is not.
//! A token is for one source address and for some time, and is kept nowhere. After a change of the configuration clients get a new one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use std::net::Ipv4Addr;

/// The longest time of a token in seconds.
pub(super) const LONGEST: u64 = 21_600;
/// The bytes of its last second.
const TIME: usize = 8;

/// Makes and verifies tokens.
pub(super) struct Tokens(Key);

impl Tokens {
    /// With a new key.
    ///
    /// # Errors
    /// A kernel without randomness.
    pub(super) fn new() -> Result<Tokens, String> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new());
        key.map(Tokens).map_err(|_| "the kernel gives no random numbers".to_owned())
    }

    /// A token until a second.
    pub(super) fn make(&self, source: Ipv4Addr, until: u64) -> String {
        let mut bytes = until.to_be_bytes().to_vec();
        bytes.extend(hmac::sign(&self.0, &said(source, until)).as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether it was made for this source, and is still good.
    pub(super) fn holds(&self, source: Ipv4Addr, token: &[u8], now: u64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((time, tag)) = bytes.split_at_checked(TIME) else { return false };
        let Ok(time) = time.try_into().map(u64::from_be_bytes) else { return false };
        time >= now
            && time <= now.saturating_add(LONGEST)
            && hmac::verify(&self.0, &said(source, time), tag).is_ok()
    }
}

fn said(source: Ipv4Addr, until: u64) -> Vec<u8> {
    [&source.octets()[..], &until.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_source_and_for_its_time() {
        let (tokens, other) = (Tokens::new().unwrap(), Tokens::new().unwrap());
        let [ann, bob] = [1, 2].map(|n| Ipv4Addr::new(10, 0, 0, n));
        let token = tokens.make(ann, 1000);
        let holds = |from: &Tokens, source, token: &str, now| from.holds(source, token.as_bytes(), now);
        assert!(holds(&tokens, ann, &token, 990) && holds(&tokens, ann, &token, 1000));
        assert!(!holds(&tokens, ann, &token, 1001) && !holds(&tokens, bob, &token, 990));
        assert!(!holds(&other, ann, &token, 990));
        let forged = tokens.make(ann, u64::MAX);
        assert!(!holds(&tokens, ann, &forged, 1000), "no token is good for ever");
        for bad in ["", "AAAA", "====", &token[1..], &format!("{token}A")] {
            assert!(!holds(&tokens, ann, bad, 990), "{bad}");
        }
    }
}
