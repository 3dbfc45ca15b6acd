//! The event stream: a block is heard when it is made, and nothing is missed on the way back.

use std::time::Duration;

use serde_json::Value;
use web::HouseholdPages;

use crate::stage::{Stage, whole};

/// One event: name, id, data.
type Heard = (String, Option<String>, Value);

struct Listener {
    response: reqwest::Response,
    buffer: String,
}

impl Listener {
    async fn connect(stage: &Stage, last_id: Option<&str>) -> Self {
        let mut request = reqwest::Client::new().get(format!("{}/api/v1/events", stage.base));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("a stream");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn hear(&mut self) -> Option<Heard> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    event.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
                };
                let heard = (field("event"), field("id"), field("data"));
                self.buffer = rest.to_owned();
                if let (Some(name), id, Some(data)) = heard {
                    return Some((name, id, serde_json::from_str(&data).expect("JSON")));
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let chunk = chunk.await.expect("something within 20 s").expect("a sound stream")?;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The next event of a kind other than `status`.
    async fn hear_news(&mut self) -> Option<Heard> {
        loop {
            let heard = self.hear().await?;
            if heard.0 != "status" {
                return Some(heard);
            }
        }
    }
}

#[tokio::test]
async fn a_block_is_told_with_what_it_cleared_and_settled() {
    let mut stage = Stage::after_blocks(6, HouseholdPages::Closed).await;
    let mut listener = Listener::connect(&stage, None).await;
    let (name, id, status) = listener.hear().await.expect("an event");
    assert_eq!((name.as_str(), id, whole(&status, "height")), ("status", None, 6));
    let mut last_id = None;
    let (mut cleared, mut settled) = (0, 0);
    for height in 7..=20 {
        stage.community.make_block();
        let block = stage.community.blocks.last().expect("a block").clone();
        stage.dashboard.follow(block.clone()).await.expect("followed");
        let (name, id, told) = listener.hear_news().await.expect("an event");
        assert_eq!((name.as_str(), whole(&told, "height")), ("block", height));
        assert_eq!(told["hash"], block.block.hash().to_string());
        last_id = id;
        let results = &stage.community.executed.last().expect("a block").results;
        for one in &results.clearings {
            let (name, _, told) = listener.hear_news().await.expect("an event");
            assert_eq!(name, "cleared");
            let start = one.result.period.start().as_millis();
            assert_eq!(whole(&told, "period_start_ms"), start);
            assert_eq!(whole(&told, "volume_wh"), one.result.volume.wh());
            cleared += 1;
        }
        let mut periods: Vec<_> = results.settlements.iter().map(|one| one.period).collect();
        periods.dedup();
        for period in periods {
            let (name, _, told) = listener.hear_news().await.expect("an event");
            assert_eq!(name, "settled");
            assert_eq!(whole(&told, "period_start_ms"), period.start().as_millis());
            settled += 1;
        }
    }
    assert!(cleared > 0 && settled > 0);
    assert!(last_id.is_some());
    stage.stop().await;
}

#[tokio::test]
async fn who_comes_back_hears_what_it_missed() {
    let mut stage = Stage::after_blocks(6, HouseholdPages::Closed).await;
    let mut listener = Listener::connect(&stage, None).await;
    listener.hear().await.expect("the status");
    let make = async |stage: &mut Stage| {
        stage.community.make_block();
        let block = stage.community.blocks.last().expect("a block").clone();
        stage.dashboard.follow(block).await.expect("followed");
    };
    make(&mut stage).await;
    let (_, id, told) = listener.hear_news().await.expect("the block");
    assert_eq!(whole(&told, "height"), 7);
    drop(listener);
    for _ in 0..6 {
        make(&mut stage).await;
    }
    let mut back = Listener::connect(&stage, id.as_deref()).await;
    let mut heights = Vec::new();
    while heights.len() < 6 {
        let (name, _, told) = back.hear_news().await.expect("an event");
        if name == "block" {
            heights.push(whole(&told, "height"));
        }
    }
    assert_eq!(heights, [8, 9, 10, 11, 12, 13]);
    // The end is told: a browser connects again by itself.
    let stopping = tokio::spawn(stage.stop());
    let mut last = None;
    while let Some((name, ..)) = back.hear().await {
        last = Some(name);
    }
    assert_eq!(last.as_deref(), Some("reconnect"));
    stopping.await.expect("stopped");
}

#[tokio::test]
async fn the_status_is_told_every_now_and_then() {
    let stage = Stage::after_blocks(1, HouseholdPages::Closed).await;
    let mut listener = Listener::connect(&stage, None).await;
    for _ in 0..3 {
        let (name, _, status) = listener.hear().await.expect("an event");
        assert_eq!((name.as_str(), status["state"].as_str()), ("status", Some("live")));
    }
    stage.stop().await;
}
