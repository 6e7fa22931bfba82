//! Three releases at once, one of them bad, through three regions of which two are a pair; the host is killed at random
//! moments, and somebody outside looks every 50 ms who is down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

const REGIONS: [&str; 3] = ["canary", "westeurope", "northeurope"];
const EXTENSIONS: [&str; 3] = ["agent", "logs", "rules"];

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(400);

/// Kills of the host.
const KILLS: usize = 5;

/// Two sets of three in two zones, an availability set of four in two update domains, and two machines in each region.
/// An id says the region, the set and the zone.
fn toml(answers: &Answers) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\ndataDir = \"./data\"\n\n[releases]\n\
         regionPhases = [[\"canary\"], [\"westeurope\"]]\ngeoPairs = [[\"northeurope\", \"westeurope\"]]\n\
         bake = \"PT1S\"\n",
        fleet::free_ports(1)[0]
    );
    for name in EXTENSIONS {
        write!(text, "\n[[extensionTypes]]\npublisher = \"contoso\"\ntype = \"{name}\"\n").unwrap();
    }
    let mut ports = answers.ports.iter();
    for region in REGIONS {
        for set in ["a", "b"] {
            common(&mut text, "scaleSets", &format!("{region}-{set}"), region, "");
            for (number, zone) in [(0, "1"), (1, "2"), (2, "1")] {
                let port = ports.next().unwrap();
                write!(
                    text,
                    "[[scaleSets.instances]]\nid = \"{region}.{set}.{zone}.{number}\"\n\
                     address = \"127.0.0.1:{port}\"\nzone = \"{zone}\"\n"
                )
                .unwrap();
            }
        }
        common(&mut text, "availabilitySets", &format!("{region}-w"), region, "");
        for number in 0..4 {
            let (port, domain) = (ports.next().unwrap(), number % 2);
            write!(
                text,
                "[[availabilitySets.instances]]\nid = \"{region}.w.none.{number}\"\n\
                 address = \"127.0.0.1:{port}\"\nupdateDomain = {domain}\nfaultDomain = {domain}\n"
            )
            .unwrap();
        }
        for zone in ["1", "2"] {
            let port = ports.next().unwrap();
            let own = format!("address = \"127.0.0.1:{port}\"\nzone = \"{zone}\"\n");
            common(&mut text, "virtualMachines", &format!("{region}.vm.{zone}.0"), region, &own);
        }
    }
    text
}

fn common(text: &mut String, array: &str, name: &str, region: &str, own: &str) {
    write!(
        text,
        r#"
[[{array}]]
name = "{name}"
location = "{region}"
{own}[{array}.health]
intervalInSeconds = 0.2
gracePeriod = 2
timeoutInSeconds = 2
[{array}.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
maxUnhealthyUpgradedInstancePercent = 50
[{array}.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{{id}}", "{{component}}", "{{version}}"]
[{array}.model]
version = "v1"
"#
    )
    .unwrap();
    let one = |name: &str| {
        format!(
            "{{ name = \"{name}\", version = \"1.0\", publisher = \"contoso\", type = \"{name}\", enableAutomaticUpgrade = true }}"
        )
    };
    writeln!(text, "extensions = [{}]", EXTENSIONS.map(one).join(", ")).unwrap();
}

/// An instance is down from the begin of an installation to its end; what was killed in between stays down until it is
/// done again. The rules 1.1 cannot be installed.
const INSTALL: &str = "#!/bin/sh
touch \"down/$1\"
sleep 0.1
echo \"$*\" >> calls
rm -f \"down/$1\"
test \"$2 $3\" != \"rules 1.1\"
";

/// Who is down now.
fn down(folder: &Path) -> BTreeSet<String> {
    let all = fs::read_dir(folder).unwrap().flatten();
    all.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// What must not be down together: two zones of a region, a pair, and more than one of a set.
fn wrong(down: &BTreeSet<String>) -> Option<String> {
    let mut zones: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut sets: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for id in down {
        let parts: Vec<&str> = id.split('.').collect();
        let [region, set, zone, _] = parts[..] else { return Some(format!("who is {id}?")) };
        zones.entry(region).or_default().insert(zone);
        *sets.entry((region, set)).or_default() += 1;
    }
    let two_zones = zones.values().any(|zones| zones.len() > 1);
    let pair = zones.contains_key("westeurope") && zones.contains_key("northeurope");
    let too_many = sets.values().any(|count| *count > 1);
    (two_zones || pair || too_many).then(|| format!("down together: {down:?}"))
}

fn healthy(site: &Site) -> bool {
    let fleet = site.run(&["fleet", "--json"]);
    if fleet.code != 0 {
        return false;
    }
    let fleet = fleet.json();
    let sets = fleet["scaleSets"].as_array().unwrap().clone();
    let mut all = sets.iter().flat_map(|set| set["instances"].as_array().unwrap().clone());
    all.all(|one| one["health"] == "Healthy")
}

/// Type and state of all releases.
fn releases(site: &Site) -> BTreeMap<String, String> {
    let list = site.json(&["release", "list"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list["releases"].as_array().unwrap().iter().map(|one| (text(&one["type"]), text(&one["state"]))).collect()
}

#[test]
fn whenever_the_host_is_killed_nobody_outside_sees_two_zones_or_a_pair_down() {
    let answers = Answers::start(&[0; 36]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers));
    fs::create_dir(site.path("down")).unwrap();
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut host = site.host();
    let began = Instant::now();
    while !healthy(&site) {
        assert!(began.elapsed() < LIMIT, "{}", site.log());
        thread::sleep(Duration::from_millis(300));
    }

    let ends = Arc::new(AtomicBool::new(false));
    let (folder, told) = (site.path("down"), Arc::clone(&ends));
    let prober = thread::spawn(move || {
        let (mut looks, mut seen, mut violations) = (0_u32, BTreeSet::new(), BTreeSet::new());
        while !told.load(Ordering::Relaxed) {
            let now = down(&folder);
            violations.extend(wrong(&now));
            seen.extend(now);
            looks += 1;
            thread::sleep(Duration::from_millis(50));
        }
        (looks, seen, violations)
    });
    for name in EXTENSIONS {
        site.json(&["extension", "publish", &format!("contoso/{name}"), "1.1"]);
    }
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {random}");
    for _ in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_millis(300 + u64::from(random >> 16) % 4_000));
        host.kill();
        host = site.host();
    }
    let wanted: BTreeMap<String, String> =
        [("contoso/agent", "Completed"), ("contoso/logs", "Completed"), ("contoso/rules", "Halted")]
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .into();
    while releases(&site) != wanted {
        let status =
            || EXTENSIONS.map(|name| site.run(&["release", "status", &format!("contoso/{name}")]).stdout);
        assert!(began.elapsed() < LIMIT, "{:#?}", status());
        thread::sleep(Duration::from_millis(500));
    }
    wait_for("the end of what is in flight", || down(&site.path("down")).is_empty().then_some(()));
    ends.store(true, Ordering::Relaxed);
    let (looks, seen, violations) = prober.join().unwrap();
    println!("{looks} looks in {:?}, {} were seen down", began.elapsed(), seen.len());
    assert_eq!(violations, BTreeSet::new());
    assert!(looks > 100 && seen.len() > 10, "{looks} looks, {seen:?} were down");

    let calls = fs::read_to_string(site.path("calls")).unwrap();
    for name in ["agent", "logs"] {
        let has = calls.lines().filter_map(|line| line.strip_suffix(&format!(" {name} 1.1")));
        assert_eq!(has.collect::<BTreeSet<_>>().len(), 36, "{name} is everywhere");
    }
    let bad = calls.lines().filter_map(|line| line.strip_suffix(" rules 1.1"));
    let bad: BTreeSet<&str> = bad.collect();
    assert!(!bad.is_empty() && bad.iter().all(|id| id.starts_with("canary")), "{bad:?}");
    host.stop();
}
