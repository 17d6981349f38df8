//! The BPF maps of the gate, and its view of them.

use crate::{
    packet::Packet,
    parse::{
        ip::{Header, Network, PackedHeader},
        udp,
    },
};
use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, xdp_md},
    helpers::generated::bpf_ktime_get_coarse_ns,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    programs::XdpContext,
};
use letmein_common::{
    ResourceId, UserId,
    account::{Account, Purse},
    bucket::Limit,
    filter::UserFilter,
    gate::{Budgets, Spender, Tables},
    hmac::{Auth, KeyedStates},
    maps::{Awaited, NonceKey, PendingKey, PermitKey, SaltKey, Settings, SilentKnock, Tag, Tally},
    reason::Reason,
    sample::Refused,
    source::{Address, Prefixes},
    wire::{
        challenge::{self, NO_TOKEN, View},
        silent,
    },
};

// Sizes are placeholders where the daemon knows better: it sets them when it loads the program.

/// Who may be among the keys: asked first. Written by the daemon only.
#[map]
static USER_FILTER: Array<UserFilter> = Array::with_max_entries(1, 0);
/// The keys: written by the daemon only.
#[map]
static USERS: HashMap<UserId, KeyedStates> = HashMap::with_max_entries(1, 0);
/// Who may open what: written by the daemon only.
#[map]
static PERMITS: HashMap<PermitKey, u8> = HashMap::with_max_entries(1, 0);
/// Token buckets: a word for each network that has sent anything well-formed lately.
#[map]
static BUCKETS: LruHashMap<Address, u64> = LruHashMap::with_max_entries(65_536, 0);
/// What each CPU has spent on HMACs.
#[map]
static BUDGETS: PerCpuArray<Budgets> = PerCpuArray::with_max_entries(1, 0);
/// What each user has spent, and from where the user has knocked. The daemon makes the elements, and carries them over to
/// the next program.
#[map]
static ACCOUNTS: HashMap<UserId, Account> = HashMap::with_max_entries(1, 0);
/// Salts of the KNOCKs and REVOKEs that proved a key.
#[map]
static SALTS: LruHashMap<SaltKey, u8> = LruHashMap::with_max_entries(1, 0);
/// Challenges that await their RESPONSE: written by the daemon when it sends one, and removed when they have lapsed.
#[map]
static PENDING: HashMap<PendingKey, Awaited> = HashMap::with_max_entries(1, 0);
/// Tags of silent knocks, of this and the neighbouring epochs: renewed by the daemon.
#[map]
static TAGS: HashMap<u64, Tag> = HashMap::with_max_entries(1, 0);
/// What verifies silent knocks: written by the daemon only.
#[map]
static SILENT_KEYS: HashMap<UserId, KeyedStates> = HashMap::with_max_entries(1, 0);
/// Nonces of the silent knocks that were accepted, and when. The daemon pins it, so that it outlives a restart, and removes
/// what is too old to matter. It has room for the shares of all users, which are seldom used up, so memory comes with the
/// elements.
#[map]
static NONCES: HashMap<NonceKey, u64> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
/// Silent knocks for the daemon. At less than 200 bytes each with their headers, there is room for what ten users may send
/// at once.
#[map]
static KNOCKS: RingBuf = RingBuf::with_byte_size(524_288, 0);
/// One element, for each CPU its own.
#[map]
static TALLY: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The round of samples that the daemon has begun.
#[map]
static ROUND: Array<u32> = Array::with_max_entries(1, 0);
/// Refused packets that operators get to see: 24 bytes each, and 8 of header. Enough for one round of 64 CPUs.
#[map]
static REFUSED: RingBuf = RingBuf::with_byte_size(65_536, 0);

/// Set by the daemon before the program is loaded; the kernel's JIT sees constants.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    limit: Limit::new(0, 0),
    budget: Limit::new(0, 0),
    drained: Limit::new(0, 0),
    quota: Limit::new(0, 0),
    answers: Limit::new(0, 0),
    prefixes: Prefixes::ALL,
    control_port: 0,
    answer_strangers: 0,
    challenge: 0,
    silent: 0,
    shield_tcp: 0,
    shield_udp: 0,
};

/// Reads one of the [`Settings`]. Volatile: the compiler must not believe the initial value above.
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: an aligned field of a static that nobody writes once the program is loaded.
        unsafe { (&raw const $crate::tables::SETTINGS.$field).read_volatile() }
    };
}
pub(crate) use setting;

#[inline(always)]
pub fn count_genuine() {
    if let Some(tally) = tally() {
        tally.counters.genuine += 1;
    }
}

#[inline(always)]
pub fn count_refused(reason: Reason) {
    if let Some(tally) = tally() {
        tally.counters.refuse(reason);
    }
}

/// Counts a packet that is refused. `true` if operators are to be told of it.
#[inline(always)]
pub fn count_and_sample(reason: Reason) -> bool {
    let Some(tally) = tally() else {
        return false;
    };
    tally.counters.refuse(reason);
    let Some(round) = ROUND.get(0) else {
        return false;
    };
    tally.sampling.take(*round)
}

#[inline(always)]
fn tally<'a>() -> Option<&'a mut Tally> {
    let tally = TALLY.get_ptr_mut(0)?;
    // SAFETY: a per-CPU element of the map, which lives as long as the program. XDP programs run to the end
    // on their CPU without being interrupted by another run on it.
    Some(unsafe { &mut *tally })
}

/// Tells of a refused packet. Nobody is woken for it, and nobody misses it.
#[inline(never)]
pub fn tell(high: u64, low: u64, port: u32, reason: Reason) {
    if let Some(mut place) = REFUSED.reserve::<Refused>(0) {
        place.write(Refused::new(Address([high, low]), port, reason));
        place.submit(NO_WAKEUP);
    }
}

/// Takes a token from the bucket of the source with this address. A function of its own, as is [`deliver`]: what they
/// need of the stack is free again when the MAC is verified, which takes nearly all of it.
#[inline(never)]
fn spend(high: u64, low: u64) -> bool {
    let limit = setting!(limit);
    if limit.interval == 0 {
        return true;
    }
    let network = Address([high, low]).network(&setting!(prefixes));
    let now = now();
    let bucket = BUCKETS.get_ptr_mut(network);
    // SAFETY: an aligned word of a map element. Another CPU may write it at the same time: see
    // `letmein_common::bucket`.
    let arrival = bucket.map_or(0, |bucket| unsafe { bucket.read_volatile() });
    let Some(next) = limit.take(arrival, now) else {
        return false;
    };
    match bucket {
        // SAFETY: as above.
        Some(bucket) => unsafe { bucket.write_volatile(next) },
        // Cannot fail for lack of room: the least recently used bucket makes way. Under memory pressure it
        // may, and then the packet is checked all the same: AUTH decides, not the bucket.
        None => drop(BUCKETS.insert(network, next, 0)),
    }
    true
}

/// The word of a budget of this CPU.
#[inline(always)]
fn budget<'a>(spender: Spender) -> Option<&'a mut u64> {
    let budgets = BUDGETS.get_ptr_mut(0)?;
    // SAFETY: as for `tally`.
    unsafe { &mut *budgets }.get_mut(spender as usize)
}

/// Takes one HMAC from a budget of this CPU. A function of its own for the sake of the stack; what is only asked, of every
/// packet of a flood, is not.
#[inline(never)]
fn take_budget(spender: Spender) -> bool {
    let limit = if spender.is_drained() {
        setting!(drained)
    } else {
        setting!(budget)
    };
    if limit.interval == 0 {
        return true;
    }
    let Some(word) = budget(spender) else {
        return false;
    };
    let Some(next) = limit.take(*word, now()) else {
        return false;
    };
    *word = next;
    true
}

/// What is remembered about this user.
#[inline(always)]
fn account<'a>(user: UserId) -> Option<&'a mut Account> {
    let account = ACCOUNTS.get_ptr_mut(user)?;
    // SAFETY: an element that the daemon never removes. Another CPU may change its words at the same time, and each word is
    // worth what it is whichever of the two wrote it last: see `letmein_common::account`.
    Some(unsafe { &mut *account })
}

/// Takes a token from a bucket of this user. A global function of BPF, as is [`acquainted`]: the verifier walks through it
/// once, and not again for each way that leads here.
// SAFETY: a global function of BPF has a name of its own in the object.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_from(user: u32, purse: u32) -> u32 {
    let purse = match purse {
        KNOCKS_PURSE => Purse::Knocks,
        SILENT_KNOCKS_PURSE => Purse::SilentKnocks,
        _ => Purse::SilentTries,
    };
    let limit = setting!(quota);
    let taken = account(UserId(user)).is_some_and(|account| account.take(purse, &limit, now()));
    u32::from(taken)
}

const KNOCKS_PURSE: u32 = Purse::Knocks as u32;
const SILENT_KNOCKS_PURSE: u32 = Purse::SilentKnocks as u32;

/// Whether this user has answered a challenge from the network of this address.
// SAFETY: as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn acquainted(user: u32, high: u64, low: u64) -> u32 {
    let network = Address([high, low]).network(&setting!(prefixes));
    let known = account(UserId(user)).is_some_and(|account| account.knows(&network));
    u32::from(known)
}

/// Notes that this user has answered a challenge from the network of this address.
// SAFETY: as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn acquaint(user: u32, high: u64, low: u64) -> u32 {
    let network = Address([high, low]).network(&setting!(prefixes));
    if let Some(account) = account(UserId(user)) {
        account.remember(&network);
    }
    // A global function has to return something.
    0
}

/// The challenge that this address was sent, or null: a pointer, as it comes back from a function of BPF.
#[inline(never)]
fn awaited(high: u64, low: u64, port: u16, user: UserId, resource: ResourceId) -> *mut Awaited {
    let exchange = PendingKey::new(&Address([high, low]), port, user, resource);
    PENDING.get_ptr_mut(exchange).unwrap_or(core::ptr::null_mut())
}

/// Hands a silent knock to the daemon: that of the packet with this header and datagram. It reads them once more, as what
/// is needed on the way to the MAC has to be little.
#[inline(never)]
pub fn deliver(ctx: *mut xdp_md, header: PackedHeader, datagram: usize, ids: u64) -> Result<(), Reason> {
    // Or LLVM would read the pointers behind it in front of the call, and hand them over as numbers.
    let packet = Packet::of(&XdpContext::new(core::hint::black_box(ctx)));
    let header = Header::from(header);
    let source = header.source(&packet).ok_or(Reason::Truncated)?;
    let destination = header.destination(&packet).ok_or(Reason::Truncated)?;
    let message: &[u8; silent::LEN] = packet.bytes(datagram + udp::LEN).ok_or(Reason::Truncated)?;
    let mut place = KNOCKS.reserve::<SilentKnock>(0).ok_or(Reason::Overrun)?;
    place.write(SilentKnock {
        source,
        user: UserId((ids >> 32) as u32),
        resource: ResourceId((ids & 0xFFFF_FFFF) as u32),
        message: *message,
        destination,
    });
    place.submit(0);
    Ok(())
}

/// The tables of the gate, in BPF maps, for the sender of one packet.
pub struct Maps<'a> {
    pub packet: &'a Packet,
    pub network: &'a Network,
    pub source_port: u16,
}

impl Maps<'_> {
    /// The challenge that the sender was sent.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "an element of a map, and not a part of this")]
    fn awaited(&self, user: UserId, resource: ResourceId) -> Option<&mut Awaited> {
        let source = self.network.source(self.packet)?;
        let awaited = awaited(source.0[0], source.0[1], self.source_port, user, resource);
        // SAFETY: null, or an element of a map. The daemon replaces elements as a whole, and a RESPONSE that reads a
        // half-replaced one does not verify. Another CPU may change the buckets: see `letmein_common::bucket`.
        unsafe { awaited.as_mut() }
    }
}

impl Tables for Maps<'_> {
    #[inline(always)]
    fn key(&self, user: UserId) -> Option<&KeyedStates> {
        let filter = USER_FILTER.get(0)?;
        if !filter.may_contain(user) {
            return None;
        }
        // SAFETY: the daemon never changes an element in place while the program reads it; at worst a
        // replaced key is read half old and half new, and AUTH does not verify.
        unsafe { USERS.get(user) }
    }

    #[inline(always)]
    fn permits(&self, key: &PermitKey) -> bool {
        PERMITS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn take_token(&self) -> bool {
        let source = self.network.source(self.packet);
        source.is_some_and(|source| spend(source.0[0], source.0[1]))
    }

    #[inline(always)]
    fn has_budget(&self, spender: Spender) -> bool {
        let limit = setting!(budget);
        limit.interval == 0 || budget(spender).is_some_and(|word| limit.take(*word, now()).is_some())
    }

    #[inline(always)]
    fn take_budget(&self, spender: Spender) -> bool {
        take_budget(spender)
    }

    #[inline(always)]
    fn take_from(&self, user: UserId, purse: Purse) -> bool {
        take_from(user.0, purse as u32) != 0
    }

    #[inline(always)]
    fn is_acquainted(&self, user: UserId) -> bool {
        let source = self.network.source(self.packet);
        source.is_some_and(|source| acquainted(user.0, source.0[0], source.0[1]) != 0)
    }

    #[inline(always)]
    fn acquaint(&self, user: UserId) {
        if let Some(source) = self.network.source(self.packet) {
            acquaint(user.0, source.0[0], source.0[1]);
        }
    }

    #[inline(always)]
    fn salt_seen(&self, key: &SaltKey) -> bool {
        SALTS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn record_salt(&self, key: &SaltKey) -> bool {
        SALTS.insert(key, 0, NOEXIST).is_ok()
    }

    #[inline(always)]
    fn pending(&self, user: UserId, resource: ResourceId) -> Option<(&Auth, bool)> {
        let awaited = self.awaited(user, resource)?;
        let now = now();
        if now >= awaited.pending.expires {
            return None;
        }
        let next = setting!(answers).take(awaited.tries, now);
        if let Some(next) = next {
            awaited.tries = next;
        }
        Some((&awaited.pending.token, next.is_some()))
    }

    #[inline(always)]
    fn answered(&self, user: UserId, resource: ResourceId) -> bool {
        let Some(awaited) = self.awaited(user, resource) else {
            return false;
        };
        let next = setting!(answers).take(awaited.answers, now());
        if let Some(next) = next {
            awaited.answers = next;
        }
        next.is_some()
    }

    #[inline(always)]
    fn tag(&self, tag: u64) -> Option<&Tag> {
        // SAFETY: the daemon replaces elements as a whole; a knock that reads a half-replaced one does not verify.
        let tag = unsafe { TAGS.get(tag) }?;
        tag.is_taken(now()).then_some(tag)
    }

    #[inline(always)]
    fn silent_key(&self, user: UserId) -> Option<&KeyedStates> {
        // SAFETY: as for `key`.
        unsafe { SILENT_KEYS.get(user) }
    }

    #[inline(always)]
    fn nonce_seen(&self, key: &NonceKey) -> bool {
        NONCES.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn record_nonce(&self, key: &NonceKey) -> bool {
        NONCES.insert(key, now(), NOEXIST).is_ok()
    }

    #[inline(always)]
    fn proves_silently(&self, knock: &silent::View<'_>, key: &KeyedStates) -> bool {
        authenticate_silent(key, knock.bytes()) != 0
    }

    #[inline(always)]
    fn proves(&self, message: &View<'_>, key: &KeyedStates, token: Option<&Auth>) -> bool {
        let token = token.map_or(core::ptr::null(), core::ptr::from_ref);
        authenticate(key, message.bytes(), token) != 0
    }
}

/// `BPF_RB_NO_WAKEUP` of `linux/bpf.h`.
const NO_WAKEUP: u64 = 1;

/// For an insertion that fails if the key exists: `BPF_NOEXIST` of `linux/bpf.h`.
const NOEXIST: u64 = 1;

/// Nanoseconds of `CLOCK_MONOTONIC`, as of the last timer tick: buckets, challenges and leases count in milliseconds, and
/// the exact clock costs ten times as much.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// [`View::proves`] as a global function of BPF: the verifier walks through its 48 rounds once, and not again
/// for each of the many ways that lead here. To the verifier each pointer may be null; `token` really is for a
/// message that answers no challenge.
// SAFETY: a global function of BPF has a name of its own in the object.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn authenticate(
    key: *const KeyedStates,
    message: *const [u8; challenge::LEN],
    token: *const Auth,
) -> u32 {
    // SAFETY: null, or made from references by the only caller, which outlive the call.
    let (key, message, token) = unsafe { (key.as_ref(), message.as_ref(), token.as_ref()) };
    let (Some(key), Some(message)) = (key, message) else {
        return 0;
    };
    let Ok(message) = View::of(message) else {
        return 0;
    };
    let proves = match token {
        Some(token) => message.proves(key, token),
        None => message.proves(key, &NO_TOKEN),
    };
    u32::from(proves)
}

/// [`silent::View::proves`], in the same way.
// SAFETY: as of `authenticate`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn authenticate_silent(key: *const KeyedStates, knock: *const [u8; silent::LEN]) -> u32 {
    // SAFETY: as above.
    let (key, knock) = unsafe { (key.as_ref(), knock.as_ref()) };
    let (Some(key), Some(knock)) = (key, knock) else {
        return 0;
    };
    u32::from(silent::View::of(knock).proves(key))
}
