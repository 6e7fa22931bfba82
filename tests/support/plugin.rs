//! A site with one plugin, and what its list says of it.

use serde_json::Value;

use super::answers::Answers;
use super::{Background, Site, fleet, guests, repository, wait_for};

/// Keys of `[[plugins]]` in front of the scale sets.
pub fn site(keys: &str) -> (Site, Answers) {
    let site = Site::new();
    let answers = Answers::start(&[1, 2, 1, 2]);
    let fleet = fleet::answered_by_the_test(&answers.ports, "db.wasm");
    site.write("db.wasm", azure_health());
    site.write(
        "phasegate.toml",
        fleet.toml().replace("[[scaleSets]]\n", &format!("{keys}\n[[scaleSets]]\n")),
    );
    (site, answers)
}

pub fn azure_health() -> Vec<u8> {
    std::fs::read(repository().join("plugins/azure-health/azure-health.wasm")).unwrap()
}

/// The same code under another digest.
pub fn variant(mark: u8) -> Vec<u8> {
    let mut bytes = azure_health();
    bytes.extend([0, 2, 1, mark]);
    bytes
}

pub fn guest(name: &str) -> Vec<u8> {
    guests::component(name).unwrap()
}

pub fn db(site: &Site) -> Value {
    let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
    plugins.into_iter().find(|plugin| plugin["name"] == "db").unwrap()
}

pub fn generation(site: &Site) -> u64 {
    db(site)["generation"].as_u64().unwrap()
}

/// State and note of a stage of the latest load.
pub fn stage(plugin: &Value, name: &str) -> (String, String) {
    let stages = plugin["load"]["stages"].as_array().unwrap();
    let stage = stages.iter().find(|stage| stage["name"] == name);
    let text = |key: &str| stage.and_then(|stage| stage[key].as_str()).unwrap_or("").to_owned();
    (text("state"), text("note"))
}

pub fn wait_for_error(site: &Site, text: &str) -> Value {
    wait_for(text, || {
        let plugin = db(site);
        plugin["lastError"].as_str().is_some_and(|error| error.contains(text)).then_some(plugin)
    })
}

pub fn wait_for_generation(site: &Site, wanted: u64) -> Value {
    wait_for("the generation", || {
        let plugin = db(site);
        (plugin["generation"] == wanted).then_some(plugin)
    })
}

pub fn judged_by(site: &Site, generation: u64) {
    site.wait_for_instances("decisions of the generation", |instance| {
        instance["plugin"]["generation"] == generation
    });
}

pub fn started<'a>(site: &'a Site) -> Background<'a> {
    let host = site.host();
    site.wait_until_healthy();
    host
}

pub fn edit(site: &Site, from: &str, to: &str) {
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    assert!(toml.contains(from), "{from}");
    site.write("phasegate.toml", toml.replacen(from, to, 1));
}
