//! The verbs `put get ls rm mb rb sign`, against the server of a stack, and against one that means harm.

use crate::depot::Depot;
use crate::shelf::{AT, SEED, STACK, Shelf};

pub(crate) const CASES: &[crate::Case] = &[
    ("verbs_put_and_get_what_others_put_and_get", verbs_put_and_get_what_others_put_and_get),
    ("a_hostile_server_gets_nowhere", a_hostile_server_gets_nowhere),
];

/// The tool as an instance of the stack would have it, with the key of a user.
fn tool(user: &str) -> String {
    format!(
        "export AWS_SHARED_CREDENTIALS_FILE=/etc/s3/{user}.keys AWS_ENDPOINT_URL=http://{AT} AWS_REGION=office HOME=/root
        lsx() {{ $(ls -t /var/lib/lsx/bin/*/lsx-store | head -1) \"$@\"; }}
        no() {{ code=$1; shift; set +e; lsx \"$@\" 2>err; got=$?; set -e; cat err; test $got = $code || {{ echo \"exit $got, not $code\"; exit 9; }}; }}\n"
    )
}

fn verbs_put_and_get_what_others_put_and_get(depot: &Depot) {
    let shelf = Shelf::up(depot);
    let tried = "head -c 40000000 /dev/urandom >big; echo hello >small; mkdir -p into; cd into; rm -f small
        lsx put ../small web/x/ | jq -c '[.verb, .key, .bytes, .verified, .parts]'
        lsx put ../big web/big | jq -c '[.bytes, .parts, .verified]'
        cat ../big | lsx put - web/piped | jq -c '[.file, .bytes, .parts]'
        : | lsx put - 'web/x/none é%' | jq -c '[.bytes, .verified]'
        lsx get web/x/small | jq -c '[.file, .bytes, .verified]'; stat -c %a small; cmp small ../small
        lsx get web/piped - | cmp - ../big; lsx get web/big ../back | jq .verified; cmp ../back ../big
        s3cmd -q -c ../ann.cfg get --force s3://web/big ../again; cmp ../again ../big
        lsx ls | jq -c '[.rows[].name]'; lsx ls web | jq -c '[.rows[] | [.name, .bytes]]'
        lsx ls web/x -r | jq -c '[.rows[].name]'; lsx ls web/x --table | head -1
        curl -sS \"$(lsx sign web/x/small --expires 1m)\"
        curl -sS -o /dev/null -w '%{http_code}\\n' -T ../small \"$(lsx sign web/x/signed --put)\"
        lsx rm web/x/signed web/x/small web/x/small | jq -s 'length'; lsx ls web/x/ | jq -c '[.rows[].name]'";
    let ran = shelf.client(&format!("{}{tried}", tool("ann"))).ok().stdout;
    let wanted = "[\"put\",\"x/small\",6,true,null]\n[40000000,3,true]\n[null,40000000,3]\n[0,true]\n[\"./small\",6,true]\n600\ntrue\n\
        [\"notes\",\"web\"]\n[[\"big\",40000000],[\"piped\",40000000],[\"x/\",null]]\n[\"x/none é%\",\"x/small\"]\n";
    assert!(ran.starts_with(wanted), "{ran}");
    assert!(ran.ends_with("hello\n200\n3\n[\"x/none é%\"]\n"), "{ran}");
    // What is refused, and how the program ends then.
    let wrong = "no 77 put small alone/../web/x; no 77 get notes/k - ; no 1 get web/none into/none; test ! -e into/none
        no 64 get web/x/.. ; no 64 get web; no 64 put small ../web/x; no 64 sign web/big --expires 8d; no 64 ls --endpoint ftp://x
        no 64 put into web/x; no 77 mb another; no 1 get web/big /dev/null; no 1 put none web/x
        AWS_SHARED_CREDENTIALS_FILE=/none no 64 ls; AWS_SHARED_CREDENTIALS_FILE=small no 64 ls; no 69 ls --endpoint http://10.162.0.1:1
        sed 's/secret_access_key = .*/secret_access_key = 0123456789abcdef0123/' ann.keys >wrong.keys; AWS_SHARED_CREDENTIALS_FILE=wrong.keys no 77 ls web";
    let wrong = shelf.client(&format!("{}{wrong}", tool("ann"))).ok().stdout;
    for words in [
        "NoSuchKey",
        "AccessDenied",
        "SignatureDoesNotMatch",
        "does not end with the name of a file",
        "is a folder",
        "1s to 7d",
        "no plain file",
    ] {
        assert!(wrong.contains(words), "{words}: {wrong}");
    }
    keys_of_the_stack(&shelf);
    ended_by_a_signal(&shelf);
    // Nothing is left of uploads.
    assert_eq!(
        shelf.host("ls -A /data/web/web/.lsx-s3/uploads /data/web/web/.lsx-s3/new | grep -v : | tr -d '\\n'"),
        ""
    );
    shelf.down();
}

/// The verbs with the keys of the stack's users, where its file and its seed are.
fn keys_of_the_stack(shelf: &Shelf<'_>) {
    let tried = format!(
        "{}unset AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL AWS_REGION; cat >shelf.yaml <<'END'\n{STACK}END
        (umask 077; echo {SEED} >seed); T='--stack shelf.yaml'
        lsx put small web/of/ $T | jq -c '[.endpoint, .verified]'; lsx get web/of/small - $T; lsx get web/of/small - $T --as bob
        no 77 put small web/of/bob $T --as bob; no 64 ls web $T --as eve; no 64 ls alone $T; no 65 ls --stack ann.cfg
        LSX_STACK=shelf.yaml lsx ls notes | jq -c .rows; lsx ls $T --as bob | jq -c '[.rows[].name]'
        curl -sS \"$(lsx sign web/of/small $T --as bob)\"; AWS_ENDPOINT_URL=http://{AT} lsx ls web/of/ $T | jq -c '[.rows[].name]'
        lsx put small notes/of $T | jq .verified
        code=0; lsx rm web/of/small notes/of alone/of web/of/none $T --as ann >gone 2>err || code=$?; echo $code; jq -c .key gone; cat err
        rm seed; no 65 ls web $T",
        tool("ann")
    );
    let ran = shelf.client(&tried).ok().stdout;
    let wanted = format!("[\"http://{AT}\",true]\nhello\nhello\n");
    assert!(ran.starts_with(&wanted), "{ran}");
    for words in [
        "\n[]\n[\"notes\",\"web\"]\nhello\n[\"of/small\"]\ntrue\n",
        // Of several, those that can be removed are, and are said.
        "ann may not do this in notes",
        "ann has no rights to alone",
        "\n77\n\"of/small\"\n\"of/none\"\n",
        "store.users of the stack has no eve",
        "the stack allows nobody to do this in bucket alone",
    ] {
        assert!(ran.contains(words), "{words}: {ran}");
    }
}

/// An upload that waits for its source ends at once with a signal, and leaves nothing.
fn ended_by_a_signal(shelf: &Shelf<'_>) {
    let tried = format!(
        "{}waits() {{ for t in $(seq 3000); do test $(ls /data/web/web/.lsx-s3/uploads | wc -l) = $1 && return; sleep 0.01; done; ls -R /data/web/web/.lsx-s3; exit 9; }}
        tool=$(ls -t /var/lib/lsx/bin/*/lsx-store | head -1); mkfifo -m 600 pipe
        for signal in INT TERM; do
            rm -f out; env --default-signal=INT,QUIT $tool put - web/cut <pipe >out 2>err & put=$!
            exec 7>pipe; head -c 17000000 big >&7; waits 1; kill -$signal $put; code=0; wait $put || code=$?; exec 7>&-
            echo $signal $code; cat out err; waits 0
        done; no 1 get web/cut -",
        tool("ann")
    );
    let ran = shelf.client(&tried).ok().stdout;
    assert!(ran.contains("INT 130\n") && ran.contains("TERM 143\n"), "{ran}");
    assert!(
        ran.matches("interrupted; the upload is given up").count() == 2 && ran.contains("NoSuchKey"),
        "{ran}"
    );
}

const HOSTILE: &str = r#"
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  def log_message(self, *a): pass
  def do_GET(self):
    w = self.wfile
    def say(text): w.write(text.encode()); self.close_connection = True
    if '/redirect' in self.path: return say('HTTP/1.1 307 Moved\r\nlocation: http://169.254.169.254/x\r\ncontent-length: 0\r\n\r\n')
    if '/unsaid' in self.path:
      say('HTTP/1.1 200 OK\r\n\r\n')
      try:
        while True: w.write(b'x' * 65536)
      except OSError: return
    if '/short' in self.path: return say('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc')
    if '/lie' in self.path: return say('HTTP/1.1 200 OK\r\ncontent-length: 3\r\netag: "00000000000000000000000000000000"\r\n\r\nabc')
    if '/error' in self.path: return say('HTTP/1.1 400 Bad\r\n\r\n<Error><Code>Bad</Code><Message>\u001b[2J\u0007</Message></Error>')
    if '/huge' in self.path:
      say('HTTP/1.1 400 Bad\r\n\r\n<Error><Code>')
      try:
        while True: w.write(b'x' * 65536)
      except OSError: return
    if 'list-type' in self.path:
      key = '' if '/empty' in self.path else '<Contents><Key>..%2F..%2Fetc%2Fpasswd%0A%1B[2J</Key><Size>-1</Size></Contents>'
      page = '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>' + key + '</ListBucketResult>'
      return say('HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s' % (len(page), page))
    say('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi')
  do_PUT = do_DELETE = do_POST = do_GET
http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print(s.server_address[1], file=open('/etc/s3/port', 'w'), flush=True)
s.serve_forever()
"#;

fn a_hostile_server_gets_nowhere(depot: &Depot) {
    let shelf = Shelf::up(depot);
    let tried = format!(
        "{}mkdir -p here; cd here; rm -f ../port; cat >../hostile.py <<'END'\n{HOSTILE}END
        /usr/bin/python3 ../hostile.py & server=$!; trap 'kill $server' EXIT
        for t in $(seq 3000); do test -s ../port && break; sleep 0.01; done
        export AWS_ENDPOINT_URL=http://127.0.0.1:$(cat ../port)
        no 1 get b/redirect; no 1 get b/unsaid; no 69 get b/short; no 1 get b/lie; no 1 get b/error; no 1 get b/huge
        no 1 ls b; no 1 ls b/empty; no 1 ls; no 1 put ../hostile.py b/error
        ls -A; lsx get b/fine | jq -c '[.verified, .bytes]'; ls -A",
        tool("ann")
    );
    let ran = shelf.client(&tried).ok().stdout;
    for words in [
        "redirections are not followed",
        "something else than an object and its length",
        "3 of 100 bytes",
        "other bytes",
        "Bad (HTTP 400)",
        "the next page of a list",
    ] {
        assert!(ran.contains(words), "{words}: {ran}");
    }
    assert!(!ran.contains('\u{1b}') && !ran.contains('\u{7}'), "{ran:?}");
    // No file is there but the one that came whole.
    assert!(ran.ends_with("[false,2]\nerr\nfine\n"), "{ran}");
    shelf.down();
}
