//! Certificates of load balancers from secrets, in plans.

use crate::{bare, plan, plan_input};
use common::secret;
use common::tool::{Draft, Tool as _};
use lsx_net::Net;
use lsx_net::model::Object;

const STACK: &str = "stack: duo
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }
networks: { front: { cidr: 10.1.0.0/24, gateway: h1 } }
instances: { web: { image: none, host: h1, networks: [front] } }
balance: { www: { host: h1, listen: 443, to: web, port: 80, tls: secret/www } }
secrets: { www: 'file:www.pem', other: 'file:other.pem' }
";

/// The configuration of the server.
fn config(draft: &Draft<Net>) -> String {
    let server = draft.steps.iter().find_map(|step| match &step.after {
        Some(Object::Service(server)) => Some(server),
        _ => None,
    });
    draft.contents[&server.unwrap().config].clone()
}

#[test]
fn a_plan_has_the_digest_of_a_secret_and_its_place() {
    let mut input = plan_input(STACK).unwrap();
    let draft = plan(&input, &bare(&input));
    let digest = secret::digest(b"www");
    let text = config(&draft);
    assert!(text.contains(&format!("# secret www {digest}\n")), "{text}");
    assert!(
        text.contains(" /var/lib/lsx/secrets/duo/net/www\n") && text.contains(" ssl crt /run/lsx/duo/"),
        "{text}"
    );
    assert_eq!(draft.data.secrets, [("www".to_owned(), "/stack/www".to_owned())].into());
    // The host's part needs no place.
    let share = lsx_net::plan::share(&draft.data, &draft.steps, &draft.contents);
    assert!(share.secrets.is_empty());
    input.gathered.secrets.get_mut("www").unwrap().digest = secret::digest(b"another");
    assert_ne!(config(&plan(&input, &bare(&input))), text, "another value is another configuration");
    assert_eq!(Net::NAME, "net", "which is in the path of the secret");
}
