//! The XDP program, beside the same checks in userspace: what one does with a packet, the other does with what a plain
//! reading of the RFCs finds in it, and the same counter moves.
//!
//! An input is a short history (`history.rs`): packets (`packet.rs`), and what the daemon does between them. It begins
//! with nothing remembered, on both sides: `kernel.rs` and `userspace.rs`. Only the clock is not an input, so all times are
//! far away.

mod expected;
mod history;
mod kernel;
mod packet;
mod reading;
mod scene;
mod userspace;

use crate::{coverage, input::Input};
use expected::Outcome;
use history::{History, Step};
use kernel::Kernel;
pub(crate) use kernel::stay;
use letmein_daemon::{config::Config, gatekeeper::policy::Policy};
use scene::{SCENES, Scene};
use std::{cell::RefCell, rc::Rc};
use userspace::Userspace;

/// No history is longer.
const STEPS: usize = 32;

/// A scene that was asked for, with the program that was loaded for it.
struct Loaded {
    scene: &'static Scene,
    config: Config,
    policy: Rc<Policy>,
    kernel: Kernel,
}

thread_local! {
    static LOADED: RefCell<Vec<Loaded>> = const { RefCell::new(Vec::new()) };
}

/// Plays a history in the scene that its first byte names. Needs root, and the program that is built into the daemon.
pub fn packets(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Some(scene) = SCENES.get(usize::from(input.byte()) % SCENES.len()) else {
        return;
    };
    LOADED.with_borrow_mut(|loaded| {
        let at = loaded.iter().position(|one| one.scene.name == scene.name);
        let at = at.unwrap_or_else(|| {
            loaded.push(Loaded::new(scene));
            loaded.len() - 1
        });
        loaded[at].play(input);
    });
}

/// The program, with shields for TCP and UDP, and both kinds of knocks.
pub(crate) fn live_program() -> letmein_daemon::xdp::KernelGate {
    kernel::program(&scene::LIVE.config())
}

/// What no packet has brought about so far, of all that can happen to one.
#[must_use]
pub fn unreached() -> Vec<String> {
    let all = Outcome::all().into_iter();
    let unreached = all.filter(|outcome| !coverage::is_reached(outcome.number()));
    unreached.map(|outcome| format!("{outcome:?}")).collect()
}

impl Loaded {
    #[expect(clippy::expect_used, reason = "it is made of a good configuration")]
    fn new(scene: &'static Scene) -> Self {
        let config = scene.config();
        Self {
            scene,
            kernel: Kernel::load(&config),
            policy: Rc::new(Policy::of(&config).expect("a policy that was just written")),
            config,
        }
    }

    fn play(&mut self, mut input: Input<'_>) {
        let Self {
            scene,
            config,
            policy,
            kernel,
        } = self;
        kernel.forget();
        let mut userspace = Userspace::new(config, policy);
        for change in scene::tags(config) {
            userspace.gate.change_tag(&change);
        }
        let mut history = History::new(config);
        let mut before = Outcome::Passed;
        for _ in 0..STEPS {
            if input.is_empty() {
                return;
            }
            match history.next(&mut input) {
                Step::Challenge(exchange, operation, pending) => {
                    let pending = userspace.challenge(exchange, operation, pending);
                    kernel.challenge(&exchange, &pending);
                }
                Step::Admit(lease, end) => {
                    userspace.admit(&lease, end);
                    kernel.admit(&lease, end);
                }
                Step::ShutOut(lease) => {
                    userspace.shut_out(&lease);
                    kernel.shut_out(&lease);
                }
                Step::Packet(frame) => {
                    let seen = kernel.run(&frame);
                    let expected = expected::of(config, &mut userspace, &frame);
                    assert_eq!(
                        seen,
                        expected,
                        "left: the XDP program, right: userspace, in scene {}, about {:?}: {frame:02x?}",
                        scene.name,
                        reading::read(&frame)
                    );
                    coverage::mark(before.number(), seen.number());
                    before = seen;
                }
            }
        }
    }
}
