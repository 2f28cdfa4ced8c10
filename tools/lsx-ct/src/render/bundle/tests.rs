//! The command line of an instance, whether it is a whole system, and its stop signal.

use super::*;

fn image(config: Value) -> ImageConfiguration {
    let all = json!({"architecture": "amd64", "os": "linux", "config": config,
                     "rootfs": {"type": "layers", "diff_ids": []}, "history": []});
    serde_json::from_value(all).unwrap()
}

fn instance(more: Value) -> Instance {
    let mut all = json!({
        "name": "a", "of": "a", "driver": "oci", "image": {"name": "i", "digest": "d"}, "hostname": "a",
        "nics": [], "restart": "always", "hosts": "x", "running": true,
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

#[test]
fn arguments_go_to_the_images_entrypoint_or_to_the_command() {
    let image = image(json!({"Entrypoint": ["/start", "-x"], "Cmd": ["serve"]}));
    let run = |more| command(&instance(more), &image).join(" ");
    assert_eq!(run(json!({})), "/start -x serve");
    assert_eq!(run(json!({"args": ["check", "-v"]})), "/start -x check -v");
    assert_eq!(run(json!({"command": ["sh"]})), "sh");
    assert_eq!(run(json!({"command": ["sh"], "args": ["-c", "true"]})), "sh -c true");
}

#[test]
fn a_program_that_is_called_init_is_no_system() {
    let of = |more, config| is_system(&instance(more), &image(config));
    for program in ["/init", "/app/init", "init", "/usr/local/bin/systemd"] {
        assert!(!of(json!({}), json!({"Entrypoint": [program]})), "{program}");
        assert!(of(json!({"system": true}), json!({"Entrypoint": [program]})), "{program}");
    }
    assert!(of(json!({}), json!({"Cmd": ["/lib/systemd/systemd"]})));
    assert!(!of(json!({"system": false}), json!({"Cmd": ["/lib/systemd/systemd"]})));
    assert!(of(json!({}), json!({"Entrypoint": ["/s6"], "Labels": {"lsx.system": "true"}})));
    assert!(!of(json!({}), json!({"Cmd": ["/sbin/init"], "Labels": {"lsx.system": "false"}})));
}

#[test]
fn a_signal_is_read_in_every_form() {
    for (text, number, name) in [
        ("QUIT", 3, "SIGQUIT"),
        ("SIGQUIT", 3, "SIGQUIT"),
        ("3", 3, "SIGQUIT"),
        ("sigterm", 15, "SIGTERM"),
        ("SIGRTMIN+3", 37, "SIGRTMIN+3"),
        ("RTMIN", 34, "SIGRTMIN+0"),
        ("37", 37, "SIGRTMIN+3"),
        ("SIGRTMAX-1", 63, "SIGRTMIN+29"),
    ] {
        let stop = Stop::parse(text).unwrap();
        assert_eq!((stop.0, stop.name().as_str()), (number, name), "{text}");
    }
    for bad in ["", "SIG", "NONE", "0", "-9", "65", "RTMIN+40", "RTMIN+x", "99999999999"] {
        assert_eq!(Stop::parse(bad), None, "{bad}");
    }
    let of = |config| stop_signal(&instance(json!({})), &image(config)).map_or(String::new(), Stop::name);
    assert_eq!(of(json!({"Cmd": ["x"], "StopSignal": "QUIT"})), "SIGQUIT");
    assert_eq!(of(json!({"Cmd": ["x"], "StopSignal": "nonsense"})), "SIGTERM");
    assert_eq!(of(json!({"Cmd": ["/usr/lib/systemd/systemd"]})), "SIGRTMIN+3");
    assert_eq!(of(json!({"Cmd": ["/sbin/init"]})), "", "it may be systemd or another one");
}
