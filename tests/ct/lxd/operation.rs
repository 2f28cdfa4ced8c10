//! Inside a host: one operation of the driver, given as JSON on standard input; the answer goes to standard output.

use common::failure::Failure;
use common::stack::Driver as DriverKind;
use lsx_ct::driver::{Driver, Exec};
use lsx_ct::lxd::{Lxd, Supply};
use lsx_ct::model::{Condition, Instance};
use oci_spec::image::ImageConfiguration;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The folder that stands for the image store: DIGEST.tar.gz and blobs by digest.
pub(crate) const SUPPLY: &str = "/root/supply";

struct Folder;

impl Supply for Folder {
    fn tarball(&self, digest: &str, out: &Path) -> Result<(), Failure> {
        std::fs::copy(Path::new(SUPPLY).join(format!("{digest}.tar.gz")), out).unwrap();
        Ok(())
    }

    /// That of the image `DIGEST`, when a case has put one there.
    fn config(&self, digest: &str) -> Result<ImageConfiguration, Failure> {
        let path = Path::new(SUPPLY).join(format!("{digest}.json"));
        Ok(std::fs::read(path)
            .map_or_else(|_| ImageConfiguration::default(), |text| serde_json::from_slice(&text).unwrap()))
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        Ok(std::fs::read(Path::new(SUPPLY).join(digest)).unwrap())
    }

    fn condition(&self, _: &str, _: &str) -> Result<Condition, Failure> {
        Ok(Condition::default())
    }

    fn attend(&self, _: &dyn Driver, _: &str, _: &Instance) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn main() -> ExitCode {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let order: Value = serde_json::from_str(&text).unwrap();
    match act(&order) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            println!("{}", json!({"failure": failure}));
            ExitCode::from(failure.kind.exit())
        }
    }
}

fn act(order: &Value) -> Result<Value, Failure> {
    let kind = if order["driver"] == "incus" { DriverKind::Incus } else { DriverKind::Lxd };
    let Some(lxd) = Lxd::open(kind, Box::new(Folder))? else { return Ok(json!("no server")) };
    let (stack, name) = (order["stack"].as_str().unwrap_or("s"), order["name"].as_str().unwrap_or_default());
    let instance = |key: &str| serde_json::from_value::<Instance>(order[key].clone()).unwrap();
    let hosts = "127.0.0.1 localhost\n10.1.2.3 other\n";
    let grace = Duration::from_millis(order["grace_ms"].as_u64().unwrap_or(3000));
    let begin = std::time::Instant::now();
    let answer = match order["verb"].as_str().unwrap() {
        "engine" => json!(lxd.engine()?),
        "list" => {
            let found = lxd.list(order["stack"].as_str())?;
            let one = |f: lsx_ct::driver::Found| json!({"stack": f.stack, "name": f.name, "instance": f.instance, "condition": f.condition});
            found.into_iter().map(one).collect()
        }
        "strangers" => json!(lxd.strangers(order["stack"].as_str())?),
        "create" => json!(lxd.create(stack, &instance("instance"), hosts)?),
        "update" => json!(lxd.update(stack, &instance("before"), &instance("instance"), hosts)?),
        "start" => json!(lxd.start(stack, &instance("instance"), false)?),
        "stop" => json!(lxd.stop(stack, name, grace)?),
        "remove" => json!(lxd.remove(stack, name)?),
        "put_aside" => json!(lxd.put_aside(stack, name)?),
        "bring_back" => json!(lxd.bring_back(stack, order["aside"].as_str().unwrap(), name)?),
        "logs" => json!(lxd.logs(stack, name, 3)?),
        "shell" => json!(lxd.shell(stack, name, &exec(order))?.argv()),
        "snapshots" => {
            json!(lxd.list(Some(stack))?.into_iter().find(|f| f.name == name).map(|f| f.snapshots))
        }
        "usage" => {
            let found = lxd.list(Some(stack))?.into_iter().find(|f| f.name == name).unwrap();
            json!(lxd.usage(&found)?)
        }
        "exec" => {
            let cancel = std::sync::atomic::AtomicBool::new(false);
            let caller = lsx_ct::driver::Caller { cancel: &cancel, hears: None };
            let ran = lxd.exec(stack, name, &exec(order), caller)?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            json!({"code": ran.code, "stdout": text(ran.stdout), "stderr": text(ran.stderr)})
        }
        "hear" => hear(&lxd, stack, name, order)?,
        verb => panic!("{verb}"),
    };
    eprintln!("{} took {:.1?}", order["verb"], begin.elapsed());
    Ok(answer)
}

/// Runs a program and reads its output while it runs; when that contains `until`, another one is run.
fn hear(lxd: &Lxd, stack: &str, name: &str, order: &Value) -> Result<Value, Failure> {
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let heard = std::sync::Mutex::new([String::new(), String::new()]);
    let words: Vec<String> = serde_json::from_value(order["then"].clone()).unwrap_or_default();
    let then = Exec { argv: words, ..Exec::default() };
    let hears = |stream: &'static str, bytes: &[u8]| {
        let n = usize::from(stream == "stderr");
        let mut all = heard.lock().unwrap();
        let before = all[0].clone();
        all[n].push_str(&String::from_utf8_lossy(bytes));
        let meant = |text: &str| order["until"].as_str().is_some_and(|until| text.contains(until));
        if meant(&all[0]) && !meant(&before) {
            let caller = lsx_ct::driver::Caller { cancel: &cancel, hears: None };
            lxd.exec(stack, name, &then, caller).unwrap();
        }
    };
    let caller = lsx_ct::driver::Caller { cancel: &cancel, hears: Some(&hears) };
    let code = lxd.exec(stack, name, &exec(order), caller)?.code;
    let [stdout, stderr] = heard.into_inner().unwrap();
    Ok(json!({"code": code, "stdout": stdout, "stderr": stderr}))
}

fn exec(order: &Value) -> Exec {
    let text = |key: &str| order[key].as_str().map(str::to_owned);
    let words = |key: &str| -> Vec<String> { serde_json::from_value(order[key].clone()).unwrap_or_default() };
    Exec {
        argv: words("argv"),
        env: words("env")
            .iter()
            .filter_map(|e| e.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        user: text("user"),
        workdir: text("workdir"),
        input: text("input").unwrap_or_default().into_bytes(),
        deadline: order["deadline_ms"].as_u64().map(Duration::from_millis),
    }
}
