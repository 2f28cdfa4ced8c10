//! Requests that are forged, old, broken or ask for what is not there: the answer that S3 names, and nothing on the disk.

use crate::depot::Depot;
use crate::shelf::{AT, Shelf};

pub(crate) const CASES: &[crate::Case] = &[("hostile_requests_are_refused", hostile_requests_are_refused)];

/// Requests that are made and signed by hand; each prints what it got.
const PROGRAM: &str = r#"
import http.client, datetime, base64, zlib, hmac, re
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import botocore.auth
keys = dict(l.strip().split(' = ') for l in open('/etc/s3/ann.keys') if '=' in l)
who = Credentials(keys['aws_access_key_id'], keys['aws_secret_access_key'])
at = '%s'
def signed(method, path, headers={}, body=b'', when=None, expires=None):
  request = AWSRequest(method, 'http://' + at + path, headers=dict(headers), data=body)
  real = botocore.auth.datetime
  if when:
    class Then(datetime.datetime):
      @classmethod
      def utcnow(cls): return datetime.datetime.utcnow() + datetime.timedelta(seconds=when)
    class Module: datetime = Then
    botocore.auth.datetime = Module
  try: (S3SigV4QueryAuth(who, 's3', 'office', expires) if expires else S3SigV4Auth(who, 's3', 'office')).add_auth(request)
  finally: botocore.auth.datetime = real
  return request.prepare()
def send(request, body=None, path=None):
  c = http.client.HTTPConnection(at, timeout=60)
  url = path or request.url.split(at, 1)[1]
  c.request(request.method, url, body=request.body if body is None else body, headers={k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()})
  r = c.getresponse(); text = r.read().decode(errors='replace')
  return '%%d %%s' %% (r.status, (re.findall('<Code>(.*?)</Code>', text) or ['-'])[0])
body = b'hello'
digest = {'x-amz-content-sha256': hashlib.sha256(body).hexdigest()}
show = lambda name, got: print(name, got)
show('put', send(signed('PUT', '/web/h/a', body=body)))
show('forged', send(signed('PUT', '/web/h/b', body=body), path='/web/h/c'))
show('body', send(signed('PUT', '/web/h/b', body=body), body=b'other'))
show('skew', send(signed('GET', '/web/h/a', when=-1000)))
show('future', send(signed('GET', '/web/h/a', when=1000)))
show('url', send(signed('GET', '/web/h/a', expires=60)))
show('expired', send(signed('GET', '/web/h/a', when=-100, expires=60)))
show('week', send(signed('GET', '/web/h/a', expires=604801)))
show('crc', send(signed('PUT', '/web/h/b', {'x-amz-checksum-crc32': 'AAAAAA=='}, body=body)))
show('acl', send(signed('PUT', '/web/h/b', {'x-amz-acl': 'public-read'}, body=body)))
show('sse', send(signed('PUT', '/web/h/b', {'x-amz-server-side-encryption': 'AES256'}, body=body)))
show('version', send(signed('GET', '/web/h/a?versionId=1')))
show('xml', send(signed('POST', '/web?delete', body=b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><Delete>&a;</Delete>')))
show('utf8', send(signed('GET', '/web/h/%%ff%%fe')))
show('nul', send(signed('GET', '/web/h/%%00')))
show('dots', send(signed('GET', '/web/../notes/k')))
# As new programs send bodies: in chunks, with a checksum after them.
def chunked(sum):
  head = {'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'x-amz-trailer': 'x-amz-checksum-crc32', 'x-amz-decoded-content-length': '5', 'content-encoding': 'aws-chunked'}
  request = AWSRequest('PUT', 'http://' + at + '/web/h/trailer', headers=head)
  class Auth(S3SigV4Auth):
    def payload(self, request): return 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
  Auth(who, 's3', 'office').add_auth(request)
  request = request.prepare(); del request.headers['X-Amz-Content-SHA256'], request.headers['Content-Length']; request.headers['X-Amz-Content-SHA256'] = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
  return send(request, body=b'5\r\nhello\r\n0\r\nx-amz-checksum-crc32:' + sum + b'\r\n\r\n')
show('trailer', chunked(base64.b64encode(zlib.crc32(body).to_bytes(4, 'big'))))
show('wrong trailer', chunked(b'AAAAAA=='))
o = s3.get_object(Bucket='web', Key='h/trailer', ChecksumMode='ENABLED')
show('read', (o['Body'].read(), o['ChecksumCRC32'], o.get('ContentEncoding')))
# A body that ends too early is no object.
request = signed('PUT', '/web/h/short', {'content-length': '100'}, body=b'x' * 100)
import socket
s = socket.create_connection(at.split(':'))
s.sendall(('PUT /web/h/short HTTP/1.1\r\nhost: %%s\r\n' %% at + ''.join('%%s: %%s\r\n' %% (k, v.decode() if isinstance(v, bytes) else v) for k, v in request.headers.items() if k.lower() != 'host') + '\r\n').encode() + b'x' * 50)
s.shutdown(socket.SHUT_WR); s.recv(1000); s.close()
show('left', [o['Key'] for o in s3.list_objects_v2(Bucket='web', Prefix='h/')['Contents']])
"#;

fn hostile_requests_are_refused(depot: &Depot) {
    let shelf = Shelf::up(depot);
    let ran =
        shelf.python("ann", &PROGRAM.replace("'%s'", &format!("'{AT}'")).replace("%%", "%")).ok().stdout;
    let wanted = "put 200 -
forged 403 SignatureDoesNotMatch
body 400 XAmzContentSHA256Mismatch
skew 403 RequestTimeTooSkewed
future 403 RequestTimeTooSkewed
url 200 -
expired 403 AccessDenied
week 400 AuthorizationQueryParametersError
crc 400 BadDigest
acl 501 NotImplemented
sse 501 NotImplemented
version 404 NoSuchVersion
xml 400 MalformedXML
utf8 400 InvalidURI
nul 404 NoSuchKey
dots 404 NoSuchKey
trailer 200 -
wrong trailer 400 BadDigest
read (b'hello', 'NhCmhg==', None)
left ['h/a', 'h/trailer']
";
    assert_eq!(ran, wanted);
    assert_eq!(shelf.host("ls -A /data/web/web/.lsx-s3/new"), "");
    shelf.down();
}
