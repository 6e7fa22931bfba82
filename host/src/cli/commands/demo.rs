//! `phasegate demo`: a real fleet of local processes upgrades itself while you watch.

mod screen;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::sync::mpsc;

use super::run::StopSignal;
use super::upgrade::{render_plan, render_status};
use crate::cli::args::DemoArgs;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::stream::{Wanted, follow_events};
use crate::cli::target;
use crate::clock::Clock;
use crate::demo::fleet::{self, SCALE_SET, Workplace};
use crate::host::{Host, HostOptions};
use crate::net::endpoint::Endpoint;
use phasegate_wire as wire;
use screen::Screen;

const FROM: &str = "v1";
const TO: &str = "v2";

/// When its events end before it does.
const UNTOLD: &str = "the host of the demo tells nothing any more";

/// The fleet must be healthy by then; on a busy machine a dozen processes take a while.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Runs the demo.
///
/// # Errors
/// When the machine gives no ports, processes or files.
pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo(args))
}

/// What happened, as `demo --json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    scale_set: String,
    from: String,
    to: String,
    state: String,
    seconds: f64,
    order: Vec<String>,
    batches: Vec<wire::PlanBatch>,
    holds: Vec<wire::Hold>,
    versions: std::collections::BTreeMap<String, Option<String>>,
}

async fn demo(args: &DemoArgs) -> anyhow::Result<Exit> {
    let mut stop = StopSignal::listen()?;
    let workplace = Workplace::new().with_context(|| {
        format!(
            "cannot make a directory for the demo in `{}`; set TMPDIR to another place",
            std::env::temp_dir().display()
        )
    })?;
    let config = fleet::prepare(&workplace)?;
    let host = Host::start(&config, HostOptions::default()).await?;
    let ended = tokio::select! {
        result = show(&host, args) => result.map(Some),
        () = stop.wait() => Ok(None),
    };
    let exit = match ended {
        Ok(Some(exit)) => {
            if args.keep {
                keep_running(&host);
                stop.wait().await;
            }
            Ok(exit)
        }
        Ok(None) => {
            output::talk("\nstopping the demo\n");
            Ok(Exit::No)
        }
        Err(error) => Err(error),
    };
    host.stop().await;
    exit
}

fn keep_running(host: &Host) {
    let address = host.place();
    output::talk(&format!(
        "\nThe fleet and the API at http://{address} stay up until Ctrl-C. Try in another terminal:\n  \
         phasegate fleet --server {address}\n  phasegate upgrade start {SCALE_SET} --to v3 --wait --server {address}\n"
    ));
}

async fn show(host: &Host, args: &DemoArgs) -> anyhow::Result<Exit> {
    let api = Caller::new(host.place())?;
    let screen = Screen::new(args.output);
    screen.say(&format!(
        "Starting {} processes of a small replicated database at {FROM}: three zones, one leader, one in backup.",
        fleet::INSTANCES
    ));
    let clock = Clock::start();
    let mut news = api.news();
    loop {
        let fleet = api.fleet().await?;
        screen.show(&fleet, None);
        let mut instances = fleet.scale_sets.iter().flat_map(|set| &set.instances);
        if instances.all(|instance| instance.health == wire::Health::Healthy) {
            break;
        }
        if clock.now() > clock.started_at() + READY_WITHIN {
            bail!("the demo's fleet is not healthy after {} s", READY_WITHIN.as_secs());
        }
        // Who hears nothing for so long looks once more, and gives up.
        if let Ok(heard) = tokio::time::timeout(READY_WITHIN, news.recv()).await {
            heard.context(UNTOLD)?;
        }
    }
    let plan: wire::PlanDetail = api.get(format!("/v1/scale-sets/{SCALE_SET}/plan?to={TO}")).await?;
    screen.say(&format!("The plugin has judged every instance. The plan:\n\n{}", render_plan(&plan)));
    let started = clock.now();
    let start = wire::StartRequest { to: Some(TO.to_owned()), ..wire::StartRequest::default() };
    let _: wire::StatusDetail = api.post(format!("/v1/scale-sets/{SCALE_SET}/upgrade"), start).await?;
    let status = follow(&api, &screen, &mut news).await?;
    let fleet = api.fleet().await?;
    screen.show(&fleet, Some(&status));
    screen.finish();
    let seconds = clock.now().since(started).as_secs_f64();
    let summary = summary(plan.plan, &status, &fleet, seconds);
    if args.output.json {
        output::json(&summary)?;
    } else {
        output::data(&render(&summary, &status))?;
    }
    Ok(if status.status.state == wire::UpgradeState::Completed { Exit::Done } else { Exit::No })
}

/// Asks the host's API as any other client does, on threads of its own.
struct Caller {
    client: Arc<Client>,
}

impl Caller {
    fn new(place: &Endpoint) -> anyhow::Result<Self> {
        let server = target::named(&place.to_string(), None)?;
        Ok(Self { client: Arc::new(Client::new(server, None)) })
    }

    async fn get<T: serde::de::DeserializeOwned + Send + 'static>(&self, path: String) -> anyhow::Result<T> {
        let client = Arc::clone(&self.client);
        tokio::task::spawn_blocking(move || client.get(&path)).await?
    }

    async fn post<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        path: String,
        body: wire::StartRequest,
    ) -> anyhow::Result<T> {
        let client = Arc::clone(&self.client);
        tokio::task::spawn_blocking(move || client.post(&path, &body)).await?
    }

    /// Says when something has happened, by the events of the host; ends with them.
    fn news(&self) -> mpsc::Receiver<()> {
        let (tell, news) = mpsc::channel(1);
        let client = Arc::clone(&self.client);
        std::thread::spawn(move || {
            let wanted = Wanted { scale_set: Some(SCALE_SET.to_owned()), ..Wanted::default() };
            _ = follow_events(&client, &wanted, &mut |_| {
                // Full: there is something new already.
                _ = tell.try_send(());
                Ok(if tell.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
        });
        news
    }

    async fn fleet(&self) -> anyhow::Result<wire::Fleet> {
        self.get("/v1/fleet".to_owned()).await
    }
}

async fn follow(
    api: &Caller,
    screen: &Screen,
    news: &mut mpsc::Receiver<()>,
) -> anyhow::Result<wire::StatusDetail> {
    loop {
        let status: wire::StatusDetail = api.get(format!("/v1/scale-sets/{SCALE_SET}/upgrade")).await?;
        screen.show(&api.fleet().await?, Some(&status));
        if status.status.state != wire::UpgradeState::RollingForward {
            return Ok(status);
        }
        news.recv().await.context(UNTOLD)?;
    }
}

fn summary(plan: wire::Plan, detail: &wire::StatusDetail, fleet: &wire::Fleet, seconds: f64) -> Summary {
    let ended = |batch: &&wire::StatusBatch| {
        matches!(batch.state, wire::BatchState::Completed | wire::BatchState::Failed)
    };
    let done = detail.status.batches.iter().filter(ended);
    let instances = fleet.scale_sets.iter().flat_map(|set| &set.instances);
    Summary {
        scale_set: plan.scale_set,
        from: FROM.to_owned(),
        to: plan.to,
        state: detail.status.state.to_string(),
        seconds: (seconds * 10.0).round() / 10.0,
        order: done.flat_map(|batch| batch.instances.clone()).collect(),
        batches: plan.batches,
        holds: detail.status.holds.clone(),
        versions: instances.map(|instance| (instance.id.clone(), instance.version.clone())).collect(),
    }
}

fn render(summary: &Summary, detail: &wire::StatusDetail) -> String {
    let held: Vec<&str> = summary.holds.iter().map(|hold| hold.instance.as_str()).collect();
    format!(
        "\n{}\nUpgraded in this order: {}. Left alone: {}. It took {:.1} s.\n",
        render_status(detail),
        summary.order.join(" "),
        if held.is_empty() { "none".to_owned() } else { held.join(" ") },
        summary.seconds,
    )
}
