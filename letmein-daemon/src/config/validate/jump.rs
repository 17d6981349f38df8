//! The jumps of a resource, into chains of the administrator's own.

use crate::config::{FirewallSettings, error::Report, names, raw};
use crate::firewall::{Hook, JumpTo, Mode};
use raw::JumpHook;
use toml::Spanned;

/// Where the resource jumps to; nothing if it does not.
pub(super) fn check(
    report: &mut Report<'_>,
    name: &str,
    resource: &raw::Resource,
    firewall: &FirewallSettings,
) -> Vec<JumpTo> {
    let for_all = resource.jump_for_all.as_ref().map(Spanned::get_ref);
    let given = [
        (JumpHook::Input, Hook::Input, &resource.jump_input),
        (JumpHook::Forward, Hook::Forward, &resource.jump_forward),
        (JumpHook::Output, Hook::Output, &resource.jump_output),
    ];
    let mut to = Vec::new();
    for (written, hook, chain) in given {
        let is_for_all = for_all.and_then(|list| list.iter().find(|other| *other.get_ref() == written));
        let Some(chain) = chain else {
            if let Some(for_all) = is_for_all {
                let text = format!(
                    "resource {name:?} has no jump-{hook} that could be for all; add it, or remove this"
                );
                report.add(&for_all.span(), text);
            }
            continue;
        };
        if let Err(text) = usable(hook, chain.get_ref(), firewall) {
            report.add(&chain.span(), format!("resource {name:?}: {text}"));
        }
        to.push(JumpTo {
            hook,
            chain: chain.get_ref().clone(),
            for_all: is_for_all.is_some(),
        });
    }
    to
}

fn usable(hook: Hook, chain: &str, firewall: &FirewallSettings) -> Result<(), String> {
    names::check_nft("chain", chain)?;
    let Mode::Chain { chain: input, .. } = &firewall.mode else {
        return Err(format!(
            "jump-{hook} belongs to firewall.mode = \"chain\"; nftables jumps only within a table, and guard mode has \
             one of its own"
        ));
    };
    if [input, &firewall.forward_chain, &firewall.output_chain].contains(&&chain.to_owned()) {
        return Err(format!(
            "jump-{hook} leads to {chain:?}, which is letmeind's own chain; name one of yours"
        ));
    }
    Ok(())
}
