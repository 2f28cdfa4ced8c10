//! Bech32 (BIP 173), in which age writes keys: text with a checksum that detects typing errors.

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

fn sum(values: impl Iterator<Item = u8>) -> u32 {
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        (0..5).filter(|i| top >> i & 1 == 1).fold(next, |sum, i| sum ^ GENERATOR[i])
    })
}

fn spread(prefix: &str) -> Vec<u8> {
    let high = prefix.bytes().map(|b| b >> 5);
    high.chain([0]).chain(prefix.bytes().map(|b| b & 31)).collect()
}

/// The bytes of a text with this prefix; all in lower case or all in upper case.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let lower = text.to_ascii_lowercase();
    if text != lower && text != text.to_ascii_uppercase() {
        return None;
    }
    let data = lower.strip_prefix(prefix)?.strip_prefix('1')?;
    let letter = |b: u8| LETTERS.iter().position(|&l| l == b).and_then(|at| u8::try_from(at).ok());
    let values: Vec<u8> = data.bytes().map(letter).collect::<Option<_>>()?;
    if values.len() < 6 || sum(spread(prefix).into_iter().chain(values.iter().copied())) != 1 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for value in &values[..values.len() - 6] {
        held = (held << 5 | u32::from(*value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    // The remaining bits must be fewer than a letter's, and zero.
    (bits < 5 && held & ((1 << bits) - 1) == 0).then_some(bytes)
}
