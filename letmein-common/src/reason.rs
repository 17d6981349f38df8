//! Why a packet was refused, and the counters that tell.

/// Declares the reasons once: enum, order of the counters, and the names that logs and docs use.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Why a packet was refused. The number is its counter's place in [`Counters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in logs and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Cut short, or its IP and UDP lengths contradict each other; or a TCP header for a shielded port, without flags; or
    /// UDP or TCP whose ports lie behind the end of the IP packet.
    Truncated => "truncated",
    /// A fragment: no client sends a knock in pieces, nor the header of a SYN for a shielded port.
    Fragment => "fragment",
    /// More VLAN tags or IPv6 extension headers than any ordinary sender chains, or the chain does not end within the
    /// packet and the bytes that the XDP program sees.
    HeaderChain => "header-chain",
    /// The payload has the length of no knock.
    Length => "length",
    /// Does not begin with the magic number.
    Magic => "magic",
    /// Not an operation that a client sends.
    Operation => "operation",
    /// No such user.
    UnknownUser => "unknown-user",
    /// This source sends more than its token bucket allows, and all such sources together more than their share of
    /// HMACs.
    RateLimit => "rate-limit",
    /// This CPU has computed as many HMACs for such knocks as it may in this time: there is a flood of forged ones.
    Budget => "budget",
    /// A known user, but the wrong AUTH: a guess, or an old key.
    Auth => "auth",
    /// The very same KNOCK, REVOKE or silent knock was seen before, or a RESPONSE is repeated more often than any client
    /// repeats it.
    Replay => "replay",
    /// A RESPONSE, but no challenge is pending for its source, user and resource.
    NoChallenge => "no-challenge",
    /// A silent knock's length, but no tag of this time: most probably junk.
    UnknownTag => "unknown-tag",
    /// A tag that somebody has sniffed, with a wrong CHECK.
    Check => "check",
    /// A genuine silent knock for which there was no room: in the ring buffer, or in the record of accepted knocks.
    Overrun => "overrun",
    /// A genuine knock beyond its user's share.
    Quota => "quota",
    /// A genuine user asks for what the user may not open.
    NotPermitted => "not-permitted",
    /// No knock: a TCP SYN, or a datagram, for a shielded port, and its source holds no lease.
    Shield => "shield",
    /// From an address that nobody on a network has; or a genuine silent knock that comes from an address of this machine,
    /// or was not sent to one.
    Martian => "martian",
}

/// One set of counters, per CPU in the kernel. The daemon sums them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Genuine control packets handed to the daemon.
    pub genuine: u64,
    /// Refused packets, by [`Reason`].
    pub refused: [u64; Reason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            genuine: 0,
            refused: [0; Reason::ALL.len()],
        }
    }
}

impl Counters {
    /// The counter of `reason`.
    #[must_use]
    pub const fn of(&self, reason: Reason) -> u64 {
        self.refused[reason as usize]
    }

    /// Counts one refused packet.
    #[inline(always)]
    pub fn refuse(&mut self, reason: Reason) {
        let counter = &mut self.refused[reason as usize];
        *counter = counter.wrapping_add(1);
    }

    /// Adds another CPU's counters.
    pub fn add(&mut self, other: &Self) {
        self.genuine = self.genuine.wrapping_add(other.genuine);
        for (sum, counter) in self.refused.iter_mut().zip(other.refused) {
            *sum = sum.wrapping_add(counter);
        }
    }
}
