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

/// The forms in a list of a page, as text: `.It Cm oci : Ns Ar FOLDER` is `oci:FOLDER`.
fn listed(page: &str, section: &str, macro_: &str) -> Vec<String> {
    let section = page.split(section).nth(1).unwrap().split("\n.El\n").next().unwrap();
    let item = format!(".It {macro_} ");
    let words = |line: &str| {
        let words = line.split(' ').map(|word| word.trim_start_matches("\\&"));
        words.filter(|word| !["Ns", "Ar", "Op", "Cm"].contains(word)).collect::<String>()
    };
    section.lines().filter_map(|line| line.strip_prefix(&item)).map(words).collect()
}

/// Each form of the manual is read, as what it says, and the manual and the hint name all of them.
#[test]
fn the_manuals_list_is_what_is_read() {
    let path = |name: &str| PathBuf::from("/stack").join(name);
    let debian = |include: &[&str]| {
        let include = include.iter().map(|name| (*name).to_owned()).collect();
        Source::Debootstrap(Debian { suite: "SUITE".into(), include, ..Debian::default() })
    };
    let forms = [
        ("oci:FOLDER:TAG", Source::Layout { folder: path("FOLDER"), tag: Some("TAG".into()) }),
        ("tar:FILE", Source::Archive(path("FILE"))),
        ("lxd:METADATA,ROOTFS", Source::Lxd { metadata: path("METADATA"), rootfs: path("ROOTFS") }),
        ("docker://REFERENCE", Source::Registry("REFERENCE".into())),
        ("mmdebstrap:SUITE?include=A,B", debian(&["A", "B"])),
    ];
    let page = std::fs::read_to_string(lsx_tests::top("man/lsx-stack.5")).unwrap();
    let told = listed(&page, "\n.Sh IMAGES\n", "Cm");
    assert_eq!(told, forms.each_ref().map(|(form, _)| *form), "the section IMAGES");
    for (form, source) in &forms {
        assert_eq!(parse(form).unwrap(), *source, "{form}");
    }
    // The key `images`: the same forms, in short.
    let start = |form: &str| form.split_inclusive(':').next().unwrap().to_owned();
    let mut short: Vec<String> =
        listed(&page, "\n.It Ic images\n", "Ql").iter().map(|form| start(form)).collect();
    let mut all: Vec<String> = forms.iter().map(|(form, _)| start(form)).collect();
    short.sort();
    all.sort();
    assert_eq!(short, all, "the key images");
    // No other word before a colon is a form, and the hint has them all.
    let hint = parse("").unwrap_err().hint.unwrap();
    assert!(all.iter().all(|form| hint.contains(form.as_str())), "{hint}");
    for other in ["docker:a", "podman:a", "dir:a", "https:a", "file:a", "lxc:a"] {
        assert_eq!(parse(other).unwrap(), Source::Name(other.into()), "{other}: a name with a tag");
    }
}
