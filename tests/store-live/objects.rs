//! Buckets, as other people's clients use them: s3cmd, boto3 and curl. What they put is compared with the files on the host.

use crate::depot::Depot;
use crate::shelf::{AT, STACK, Shelf};

pub(crate) const CASES: &[crate::Case] = &[
    ("clients_put_and_get_plain_files", clients_put_and_get_plain_files),
    ("each_user_may_do_what_the_bucket_allows", each_user_may_do_what_the_bucket_allows),
    ("killed_puts_leave_whole_objects_alone", killed_puts_leave_whole_objects_alone),
];

fn clients_put_and_get_plain_files(depot: &Depot) {
    let shelf = Shelf::up(depot);
    assert_eq!(depot.changes(&shelf.file), 0);
    // s3cmd, with an upload in parts.
    let s3cmd = "head -c 12000000 /dev/urandom >big; echo hello >small
        S='s3cmd -q -c ann.cfg'
        $S put small s3://web/pages/index.html; $S put --multipart-chunk-size-mb=5 big s3://web/big
        $S get --force s3://web/big back; cmp big back
        s3cmd -c ann.cfg ls s3://web/pages/; s3cmd -c ann.cfg ls
        $S cp s3://web/big s3://web/deep/er/big; $S rm s3://web/big
        s3cmd -c ann.cfg info s3://web/pages/index.html";
    let ran = shelf.client(s3cmd).ok().stdout;
    for words in ["s3://web/pages/index.html", "s3://web\n", "s3://notes", "MIME type: text/"] {
        assert!(ran.contains(words), "{words}: {ran}");
    }
    assert!(!ran.contains("s3://alone"), "{ran}");
    // The files, read by the host.
    let files = shelf.host("cd /data/web/web; stat -c '%a %s %n' pages/index.html; cat pages/index.html; cmp deep/er/big /etc/s3/big; test ! -e big
        getfattr --only-values -n user.lsx.object pages/index.html; ls .lsx-s3/new .lsx-s3/uploads");
    assert!(files.starts_with("644 6 pages/index.html\nhello\n"), "{files}");
    let md5 = "b1946ac92492d2347c6235b4d2611184";
    assert!(files.contains(&format!("\"etag\":\"{md5}\"")), "{files}");
    assert!(files.ends_with(".lsx-s3/new:\n\n.lsx-s3/uploads:\n"), "{files}");
    keys_of_all_kinds(&shelf);
    tags(&shelf);
    versions(&shelf);
    // A URL that is signed, by curl.
    let url = shelf.python("ann", "print(client(signature_version='s3v4').generate_presigned_url('get_object', Params={'Bucket': 'web', 'Key': 'pages/index.html'}, ExpiresIn=60))").ok().stdout;
    let got = shelf.client(&format!("curl -sS '{0}'; curl -s -o /dev/null -w '%{{http_code}} ' '{1}'; curl -s -o /dev/null -w '%{{http_code}}' http://{AT}/web/pages/index.html", url.trim(), url.trim().replace("index", "other")));
    assert_eq!(got.ok().stdout, "hello\n403 403");
    // What another program puts there is an object.
    shelf.host("echo plain >/data/web/web/pages/other; ln -s /etc/passwd /data/web/web/pages/link");
    let seen = shelf.python("ann", "print(s3.get_object(Bucket='web', Key='pages/other')['Body'].read().decode().strip(), code(s3.get_object, Bucket='web', Key='pages/link'), [o['Key'] for o in s3.list_objects_v2(Bucket='web', Prefix='pages/')['Contents']])");
    assert_eq!(seen.ok().stdout, "plain NoSuchKey ['pages/index.html', 'pages/other']\n");
    // After a reboot, and after down, it is all there.
    depot.lab.verb(&["kill", "h1"]);
    depot.lab.verb(&["boot", "h1"]);
    assert_eq!(depot.changes(&shelf.file), 0);
    depot.end(&shelf.file, None);
    shelf.host("! test -e /run/lsx/shelf; test $(cat /data/web/web/pages/index.html) = hello");
    depot.start(&shelf.file);
    assert!(shelf.client("s3cmd -c ann.cfg get -q s3://web/pages/index.html -").ok().stdout == "hello\n");
    shelf.down();
}

fn keys_of_all_kinds(shelf: &Shelf<'_>) {
    let program = r#"
keys = ['k/a', 'k/a/b', 'k/a//c', 'k/a/', 'k/../up', 'k/./x', 'k/%', 'k/%41', 'k/größe', 'k/tab\tnl\n', 'k/.lsx-s3/lock', 'k/' + 'x' * 1020, 'k/a-b', 'k/A']
for key in keys: s3.put_object(Bucket='web', Key=key, Body=key.encode(), Metadata={'n': 'v'}, ContentType='text/x')
got = []
for page in s3.get_paginator('list_objects_v2').paginate(Bucket='web', Prefix='k/', PaginationConfig={'PageSize': 3}):
  got += [o['Key'] for o in page['Contents']]
assert got == sorted(keys, key=lambda k: k.encode()), got
old = []
for page in s3.get_paginator('list_objects').paginate(Bucket='web', Prefix='k/', PaginationConfig={'PageSize': 4}):
  old += [o['Key'] for o in page['Contents']]
assert old == got, old
level = s3.list_objects_v2(Bucket='web', Prefix='k/', Delimiter='/')
assert [p['Prefix'] for p in level['CommonPrefixes']] == ['k/../', 'k/./', 'k/.lsx-s3/', 'k/a/'], level
for key in keys:
  o = s3.get_object(Bucket='web', Key=key)
  assert o['Body'].read() == key.encode() and o['Metadata'] == {'n': 'v'} and o['ContentType'] == 'text/x', key
  assert o['ETag'] == '"' + hashlib.md5(key.encode()).hexdigest() + '"'
  part = s3.get_object(Bucket='web', Key=key, Range='bytes=1-2')
  assert part['Body'].read() == key.encode()[1:3] and part['ContentRange'] == 'bytes 1-2/%d' % len(key.encode())
assert code(s3.put_object, Bucket='web', Key='k/a', Body=b'', IfNoneMatch='*') if False else True
assert code(s3.get_object, Bucket='web', Key='k/a', Range='bytes=9-') == 'InvalidRange'
assert code(s3.get_object, Bucket='web', Key='k/a', IfMatch='"x"') == 'PreconditionFailed'
assert code(s3.get_object, Bucket='web', Key='k/a', IfNoneMatch=s3.head_object(Bucket='web', Key='k/a')['ETag']) == '304'
assert code(s3.put_object, Bucket='web', Key='y' * 1025, Body=b'') == 'KeyTooLongError'
assert code(s3.put_object, Bucket='web', Key='md5', Body=b'x', ContentMD5='AAAAAAAAAAAAAAAAAAAAAA==') == 'BadDigest'
assert code(s3.put_object, Bucket='web', Key='meta', Body=b'x', Metadata={'n': 'v' * 2100}) == 'MetadataTooLarge'
assert code(s3.get_bucket_policy, Bucket='web') == 'NotImplemented'
assert code(s3.create_bucket, Bucket='another') == 'AccessDenied'
s3.copy_object(Bucket='web', Key='k/copy', CopySource={'Bucket': 'web', 'Key': 'k/%'})
assert s3.get_object(Bucket='web', Key='k/copy')['Body'].read() == b'k/%'
done = s3.delete_objects(Bucket='web', Delete={'Objects': [{'Key': k} for k in keys + ['k/copy']]})
assert len(done['Deleted']) == 15 and 'Errors' not in done, done
assert 'Contents' not in s3.list_objects_v2(Bucket='web', Prefix='k/')
"#;
    shelf.python("ann", program).ok();
    assert_eq!(shelf.host("ls -A /data/web/web"), ".lsx-s3\ndeep\npages\n");
}

fn tags(shelf: &Shelf<'_>) {
    let program = r#"
def tags(key): return {t['Key']: t['Value'] for t in s3.get_object_tagging(Bucket='web', Key=key)['TagSet']}
def tag(key, **tags): return code(s3.put_object_tagging, Bucket='web', Key=key, Tagging={'TagSet': [{'Key': k, 'Value': v} for k, v in tags.items()]})
s3.put_object(Bucket='web', Key='t/a', Body=b'x', Tagging='kind=photo&of=a%20b', Metadata={'n': 'v'})
assert tags('t/a') == {'kind': 'photo', 'of': 'a b'}
o = s3.get_object(Bucket='web', Key='t/a')
assert o['TagCount'] == 2 and o['Metadata'] == {'n': 'v'}, o
s3.copy_object(Bucket='web', Key='t/b', CopySource='web/t/a', MetadataDirective='REPLACE')
s3.copy_object(Bucket='web', Key='t/c', CopySource='web/t/a', TaggingDirective='REPLACE', Tagging='new=1')
assert tags('t/b') == tags('t/a') and tags('t/c') == {'new': '1'}
u = s3.create_multipart_upload(Bucket='web', Key='t/d', Tagging='of=parts')['UploadId']
e = s3.upload_part(Bucket='web', Key='t/d', UploadId=u, PartNumber=1, Body=b'x')['ETag']
s3.complete_multipart_upload(Bucket='web', Key='t/d', UploadId=u, MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': e}]})
assert tags('t/d') == {'of': 'parts'}
before = s3.head_object(Bucket='web', Key='t/a')
assert tag('t/a', other='größe') == 'ok' and tags('t/a') == {'other': 'größe'}
after = s3.head_object(Bucket='web', Key='t/a')
assert (before['ETag'], before['LastModified'], before['Metadata']) == (after['ETag'], after['LastModified'], after['Metadata'])
assert tag('t/a', **{'k%d' % n: 'v' for n in range(11)}) == 'InvalidTag' and tag('t/none', a='b') == 'NoSuchKey'
assert code(s3.put_object, Bucket='web', Key='t/x', Body=b'', Tagging='a=1&a=2') == 'InvalidTag'
assert tag('t/a', **{'k' * 127 + str(n): 'v' * 256 for n in range(10)}) in ('ok', 'MetadataTooLarge')
s3.put_object_tagging(Bucket='web', Key='t/a', Tagging={'TagSet': [{'Key': 'kept', 'Value': ''}]})
assert s3.delete_object_tagging(Bucket='web', Key='t/b')['ResponseMetadata']['HTTPStatusCode'] == 204 and tags('t/b') == {}
seen = []
for page in s3.get_paginator('list_object_versions').paginate(Bucket='web', Prefix='t/', PaginationConfig={'PageSize': 3}):
  seen += [(v['Key'], v['VersionId'], v['IsLatest'], v['Size']) for v in page['Versions']]
assert seen == [('t/' + k, 'null', True, 1) for k in 'abcd'], seen
assert 'Status' not in s3.get_bucket_versioning(Bucket='web')
assert code(s3.list_object_versions, Bucket='web', KeyMarker='a', VersionIdMarker='x') == 'InvalidArgument'
assert code(s3.list_object_versions, Bucket='notes') == 'AccessDenied' and code(s3.get_object_tagging, Bucket='notes', Key='t') == 'AccessDenied'
"#;
    shelf.python("ann", program).ok();
    let bob = "print(code(s3.get_object_tagging, Bucket='web', Key='t/a'), code(s3.delete_object_tagging, Bucket='web', Key='t/a'), code(s3.list_object_versions, Bucket='web'))";
    assert_eq!(shelf.python("bob", bob).ok().stdout, "ok AccessDenied AccessDenied\n");
    // Tags are on the disk, and another server has them.
    let killed = "getfattr --only-values -n user.lsx.object /data/web/web/t/a | jq -c .tags; pid() { jq .pid /run/lsx/shelf/store/s3.state.json; }; was=$(pid); kill -9 $was
        for t in $(seq 3000); do test $(pid) != $was && curl -s -o /dev/null http://10.162.0.1:9000/ && break; sleep 0.01; done";
    let seen = shelf.client(killed).ok().stdout;
    assert_eq!(seen, "{\"kept\":\"\"}\n");
    let all = "print(s3.get_object_tagging(Bucket='web', Key='t/a')['TagSet']); s3.delete_objects(Bucket='web', Delete={'Objects': [{'Key': 't/' + k, 'VersionId': 'null'} for k in 'abcd']})";
    assert_eq!(shelf.python("ann", all).ok().stdout, "[{'Key': 'kept', 'Value': ''}]\n");
}

fn versions(shelf: &Shelf<'_>) {
    let program = r#"
def state(word): return code(s3.put_bucket_versioning, Bucket='web', VersioningConfiguration={'Status': word})
def put(key, body): return s3.put_object(Bucket='web', Key=key, Body=body).get('VersionId')
def get(key, **more): return s3.get_object(Bucket='web', Key=key, **more)['Body'].read()
def listed(**more):
  r = s3.list_object_versions(Bucket='web', Prefix='v/', **more)
  lines = [(v['Key'], v['VersionId'], v['IsLatest'], 'Size' in v) for v in r.get('Versions', []) + r.get('DeleteMarkers', [])]
  return sorted(lines, key=lambda l: (l[0], not l[2], l[1] == 'null', l[1]), reverse=False), r
assert put('v/a', b'0') is None and state('enabled') == 'MalformedXML'
assert state('Enabled') == 'ok' and s3.get_bucket_versioning(Bucket='web')['Status'] == 'Enabled'
one, two = put('v/a', b'1'), put('v/a', b'2')
assert one != two and get('v/a') == b'2' and get('v/a', VersionId=one) == b'1' and get('v/a', VersionId='null') == b'0'
gone = s3.delete_object(Bucket='web', Key='v/a')
assert gone['DeleteMarker'] and code(s3.get_object, Bucket='web', Key='v/a') == 'NoSuchKey'
try: s3.get_object(Bucket='web', Key='v/a')
except ClientError as e: assert e.response['ResponseMetadata']['HTTPHeaders']['x-amz-delete-marker'] == 'true'
assert code(s3.get_object, Bucket='web', Key='v/a', VersionId=gone['VersionId']) == 'MethodNotAllowed'
assert code(s3.get_object, Bucket='web', Key='v/a', VersionId='f' * 24) == 'NoSuchVersion'
assert 'Contents' not in s3.list_objects_v2(Bucket='web', Prefix='v/')
lines, whole = listed()
assert [(l[1], l[2], l[3]) for l in lines] == [(gone['VersionId'], True, False), (one, False, True), (two, False, True), ('null', False, True)], lines
paged, more = [], {}
while True:
  some, r = listed(MaxKeys=1, **more)
  paged += some
  if not r['IsTruncated']: break
  more = {'KeyMarker': r['NextKeyMarker'], 'VersionIdMarker': r['NextVersionIdMarker']}
assert [l[1] for l in paged] == [gone['VersionId'], two, one, 'null'], paged
s3.copy_object(Bucket='web', Key='v/b', CopySource={'Bucket': 'web', 'Key': 'v/a', 'VersionId': one})
assert get('v/b') == b'1'
back = s3.delete_object(Bucket='web', Key='v/a', VersionId=gone['VersionId'])
assert back['DeleteMarker'] and get('v/a') == b'2'
s3.delete_object(Bucket='web', Key='v/a', VersionId=two)
assert get('v/a') == b'1'
s3.put_object_tagging(Bucket='web', Key='v/a', VersionId='null', Tagging={'TagSet': [{'Key': 'k', 'Value': 'v'}]})
assert s3.get_object_tagging(Bucket='web', Key='v/a', VersionId='null')['TagSet'] and not s3.get_object_tagging(Bucket='web', Key='v/a')['TagSet']
assert state('Suspended') == 'ok' and put('v/a', b'3') is None and get('v/a', VersionId='null') == b'3' and get('v/a', VersionId=one) == b'1'
assert s3.delete_object(Bucket='web', Key='v/a')['VersionId'] == 'null' and code(s3.get_object, Bucket='web', Key='v/a', VersionId='null') == 'MethodNotAllowed'
assert state('Enabled') == 'ok'
u = s3.create_multipart_upload(Bucket='web', Key='v/p')['UploadId']
e = s3.upload_part(Bucket='web', Key='v/p', UploadId=u, PartNumber=1, Body=b'x')['ETag']
part = s3.complete_multipart_upload(Bucket='web', Key='v/p', UploadId=u, MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': e}]})['VersionId']
assert get('v/p', VersionId=part) == b'x'
done = s3.delete_objects(Bucket='web', Delete={'Objects': [{'Key': 'v/p'}, {'Key': 'v/p', 'VersionId': part}]})['Deleted']
assert done[0]['DeleteMarker'] and done[0]['DeleteMarkerVersionId'] and done[1]['VersionId'] == part, done
all = [(l[0], l[1]) for l in listed()[0]]
s3.delete_objects(Bucket='web', Delete={'Objects': [{'Key': k, 'VersionId': v} for k, v in all]})
assert listed()[0] == [] and state('Suspended') == 'ok'
"#;
    shelf.python("ann", program).ok();
    assert_eq!(
        shelf.host("cd /data/web/web; ls -A .lsx-s3/versions .lsx-s3/new; test ! -e v"),
        ".lsx-s3/new:\n\n.lsx-s3/versions:\n"
    );
    let bob =
        "print(code(s3.put_bucket_versioning, Bucket='web', VersioningConfiguration={'Status': 'Enabled'}))";
    assert_eq!(shelf.python("bob", bob).ok().stdout, "AccessDenied\n");
}

fn each_user_may_do_what_the_bucket_allows(depot: &Depot) {
    let shelf = Shelf::up(depot);
    let tried = |user: &str| {
        shelf.python(user, r#"
for bucket in ['web', 'notes', 'alone', 'none-such']:
  print(bucket, code(s3.put_object, Bucket=bucket, Key='k', Body=b'x'), code(s3.get_object, Bucket=bucket, Key='k'), code(s3.list_objects_v2, Bucket=bucket), code(s3.copy_object, Bucket='web', Key='c', CopySource={'Bucket': bucket, 'Key': 'k'}), code(s3.delete_object, Bucket=bucket, Key='k'))
print([b['Name'] for b in s3.list_buckets()['Buckets']])"#).ok().stdout
    };
    let no = "AccessDenied";
    assert_eq!(
        tried("ann"),
        format!(
            "web ok ok ok ok ok\nnotes ok {no} {no} {no} {no}\nalone {no} {no} {no} {no} {no}\nnone-such {no} {no} {no} {no} {no}\n['notes', 'web']\n"
        )
    );
    assert_eq!(
        tried("bob"),
        format!(
            "web {no} NoSuchKey {no} {no} {no}\nnotes {no} ok ok {no} {no}\nalone {no} {no} {no} {no} {no}\nnone-such {no} {no} {no} {no} {no}\n['notes', 'web']\n"
        )
    );
    // Another secret, and the old kind of signature.
    let wrong = "sed 's/secret_key = .*/secret_key = 0123456789abcdef0123/' ann.cfg >wrong.cfg; ! s3cmd -c wrong.cfg ls 2>&1
        ! s3cmd --signature-v2 -c ann.cfg ls s3://web 2>&1";
    let wrong = shelf.client(wrong).ok().stdout;
    assert!(wrong.contains("SignatureDoesNotMatch") && wrong.contains("Signature Version 2"), "{wrong}");
    // Rights change without a restart of the supervisor; no secret is in a document or an argument.
    let alone = "alone: { volume: shared, versioning: true, allow: { ann: [get, put, list, delete], bob: [put, delete] } }";
    let more = STACK.replace("bob: [get] }", "bob: [get, put] }").replace("alone: { volume: shared }", alone);
    let more = depot.lab.file("shelf.yaml", &more);
    let ran = depot.store(&["up", &more]).ok();
    assert_eq!(ran.json()["status"]["store"]["changed"], 2);
    assert_eq!(shelf.host("jq -c '[.handovers, .restarts]' /run/lsx/shelf/store/s3.state.json"), "[1,0]\n");
    shelf.python("bob", "s3.put_object(Bucket='web', Key='k', Body=b'x')").ok();
    versions_of_the_document(&shelf);
    let secret = shelf.host("sed -n 's/aws_secret_access_key = //p' /etc/s3/ann.keys");
    let seen = shelf.host("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /etc/lsx/shelf/* /run/lsx/shelf/store/*.json /var/lib/lsx/store/shelf/log/*/* | tr '\\0' '\\n'");
    assert!(seen.contains("s3_ann") && !seen.contains(secret.trim()), "{}", seen.len());
    let user = shelf.host("ps -o uid= -p $(jq .pid /run/lsx/shelf/store/s3.state.json)");
    assert!(user.trim().parse::<u32>().is_ok_and(|user| user > 65536), "{user}");
    shelf.down();
}

/// Who may put and delete cannot take away what was there before.
fn versions_of_the_document(shelf: &Shelf<'_>) {
    let bob = "for n in range(3): id = s3.put_object(Bucket='alone', Key='k', Body=b'%d' % n)['VersionId']
s3.delete_object(Bucket='alone', Key='k')
print(code(s3.delete_object, Bucket='alone', Key='k', VersionId=id), s3.delete_objects(Bucket='alone', Delete={'Objects': [{'Key': 'k', 'VersionId': id}]})['Errors'][0]['Code'])";
    assert_eq!(shelf.python("bob", bob).ok().stdout, "AccessDenied AccessDenied\n");
    let ann = "v = s3.list_object_versions(Bucket='alone')['Versions']
print([s3.get_object(Bucket='alone', Key='k', VersionId=o['VersionId'])['Body'].read() for o in v], s3.get_bucket_versioning(Bucket='alone')['Status'], code(s3.put_bucket_versioning, Bucket='alone', VersioningConfiguration={'Status': 'Suspended'}))";
    assert_eq!(shelf.python("ann", ann).ok().stdout, "[b'2', b'1', b'0'] Enabled AccessDenied\n");
}

fn killed_puts_leave_whole_objects_alone(depot: &Depot) {
    let shelf = Shelf::up(depot);
    // Each object begins with its size, so that its name and its bytes say whether it is whole.
    let program = r#"
acked = open('/etc/s3/acked', 'a')
import random
n, failed = 0, 0
while failed < 12 and n < 4000:
  n += 1
  size = random.choice([10, 5000, 300000, 3000000])
  key = 'load/%d/%d' % (n % 7, n)
  body = (b'%d\n' % size).ljust(size, b'x')
  try: s3.put_object(Bucket='web', Key=key, Body=body); acked.write('%s %d\n' % (key, size)); acked.flush()
  except Exception: failed += 1
"#;
    let kill = "pid() { jq .pid /run/lsx/shelf/store/s3.state.json; }
        for i in 1 2 3 4 5 6; do
            have=$(wc -l </etc/s3/acked); for t in $(seq 3000); do test $(wc -l </etc/s3/acked) -gt $((have + 4)) && break; sleep 0.01; done
            kill -9 $(pid)
            for t in $(seq 3000); do curl -s -o /dev/null http://10.162.0.1:9000/ && break; sleep 0.01; done
        done";
    let ran = shelf.client(&format!(
        "touch acked; export AWS_SHARED_CREDENTIALS_FILE=/etc/s3/ann.keys
        cat >load.py <<'END'\nimport boto3\nfrom botocore.config import Config\ns3 = boto3.client('s3', endpoint_url='http://{AT}', region_name='office', config=Config(retries={{'max_attempts': 0}}))\n{program}END
        /usr/bin/python3 load.py & load=$!\n{kill}\nkill $load; wait $load || true; wc -l <acked"
    ));
    let acked = ran.ok().stdout;
    assert!(acked.trim().parse::<u32>().is_ok_and(|acked| acked >= 30), "{acked}");
    let whole = "cd /data/web/web; while read key size; do test $(stat -c %s $key) = $size || echo lost $key; done </etc/s3/acked
        find load -type f | while read f; do test $(head -1 $f) = $(stat -c %s $f) || echo half $f; getfattr -n user.lsx.object $f >/dev/null 2>&1 || echo bare $f; done
        ls -A .lsx-s3/new; jq .restarts /run/lsx/shelf/store/s3.state.json";
    assert_eq!(shelf.host(whole), "6\n");
    shelf.down();
}
