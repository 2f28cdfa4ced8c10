//! Parsing of image sources.

use super::*;
use crate::image::source::Debian;

fn parse(words: &str) -> Result<Source, Failure> {
    Source::parse(words, &|path| PathBuf::from("/stack").join(path))
}

#[test]
fn every_form_is_read() {
    let path = PathBuf::from;
    let debian = Debian {
        slim: false,
        suite: "bookworm".into(),
        include: vec!["libstdc++6".into(), "systemd".into()],
        variant: Some("apt".into()),
        mirror: Some("http://deb.example/debian".into()),
    };
    let good = [
        ("oci:a/b", Source::Layout { folder: path("/stack/a/b"), tag: None }),
        ("oci:/a:1.0", Source::Layout { folder: path("/a"), tag: Some("1.0".into()) }),
        ("oci:/a:1/b", Source::Layout { folder: path("/a:1/b"), tag: None }),
        ("tar:x.tar.gz", Source::Archive(path("/stack/x.tar.gz"))),
        ("lxd:m,r", Source::Lxd { metadata: path("/stack/m"), rootfs: path("/stack/r") }),
        ("lxd:one.tar", Source::Archive(path("/stack/one.tar"))),
        ("docker://alpine:3", Source::Registry("alpine:3".into())),
        ("alpine", Source::Name("alpine".into())),
        ("team/db:16.1", Source::Name("team/db:16.1".into())),
        (
            "mmdebstrap:bookworm?include=libstdc++6,systemd&variant=apt&mirror=http://deb.example/debian",
            Source::Debootstrap(debian),
        ),
        ("mmdebstrap:sid", Source::Debootstrap(Debian { suite: "sid".into(), ..Debian::default() })),
    ];
    for (words, source) in good {
        assert_eq!(parse(words).unwrap(), source, "{words}");
    }
}

#[test]
fn what_is_no_form_is_told_with_those_there_are() {
    let bad = [
        "",
        "oci:",
        "tar:",
        "lxd:",
        "lxd:,r",
        "lxd:m,",
        "docker://",
        "a b",
        "-x",
        "a/../b",
        "https://a.b/c d",
        "mmdebstrap:",
        "mmdebstrap:--help",
        "mmdebstrap:sid?x=1",
        "mmdebstrap:sid?include=--a",
        "mmdebstrap:sid?include=a,",
        "mmdebstrap:sid?variant=-",
        "mmdebstrap:sid?mirror=/etc",
        "mmdebstrap:sid?include",
    ];
    for words in bad {
        let failure = parse(words).expect_err(words);
        assert_eq!(failure.kind, Kind::Data);
        assert!(failure.hint.unwrap().contains("docker://REFERENCE"), "{words}");
    }
}
