//! A flood of forged KNOCKs beyond the budget of HMACs, which those get past who have knocked before; and in the midst of
//! it a reload, and a restart.

use super::{
    attackers::{Sources, forged_knocks},
    gates::{Stage, USERS},
    guests::{By, From, Guests, fresh_address},
    measure::{Effort, while_attacked},
    outcome::Outcome,
};
use anyhow::ensure;
use serde_json::json;
use std::{thread::sleep, time::Duration};

pub const NAME: &str = "after_reload";
/// So few that the flood leaves nothing of it to luck, and twice what the guests need, who have one of their own.
const BUDGET: &str = "hmac-budget = 20";
/// From one knock to the next.
const PAUSE: Duration = Duration::from_millis(200);
/// Forged packets a second, from random sources.
const FORGED: u64 = 50_000;
/// Until the budget is used up.
const HEAD_START: Duration = Duration::from_millis(300);
/// Addresses that knock.
const ADDRESSES: usize = 12;

/// All knocks come from addresses that have knocked before the flood.
pub fn measure(effort: Effort) -> anyhow::Result<Outcome> {
    let stage = Stage::ours(BUDGET, "")?;
    let addresses = (0..ADDRESSES.min(effort.knocks)).map(|_| fresh_address());
    let guests = Guests {
        users: USERS.into(),
        by: &[By::Udp],
        from: From::Known(addresses.collect()),
        pause: PAUSE,
        beside_the_flood: true,
    };
    // Each address once, so that none has used up what one source may.
    let effort = Effort {
        knocks: ADDRESSES.min(effort.knocks),
        ..effort
    };
    let strangers = Guests {
        from: From::Fresh,
        users: guests.users,
        by: guests.by,
        pause: PAUSE,
        beside_the_flood: true,
    };
    let knock = || guests.knock(&stage, effort);
    knock()?;
    let quiet = knock()?;
    ensure!(
        quiet.share() > 0.0,
        "knocks open nothing even while nobody attacks"
    );
    let attack = forged_knocks(&stage, FORGED, Sources::Random)?;
    let ([strange, before, reloaded, restarted], attacker, _) = while_attacked(&stage, attack, || {
        sleep(HEAD_START);
        let strange = strangers.knock(&stage, effort)?;
        let before = knock()?;
        stage.reload()?;
        let reloaded = knock()?;
        stage.restart()?;
        Ok([strange, before, reloaded, knock()?])
    })?;
    Ok(Outcome {
        quiet,
        attacked: reloaded.and(&restarted),
        attacker,
        more: vec![
            // What the flood does to who has never knocked: without that, it would show nothing.
            ("share_of_strangers", json!(strange.rounded_share())),
            ("share_before", json!(before.rounded_share())),
            ("share_after_reload", json!(reloaded.rounded_share())),
            ("share_after_restart", json!(restarted.rounded_share())),
        ],
    })
}
