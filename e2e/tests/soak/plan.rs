//! What the clients will do, drawn from a seed: the same seed draws the same steps, whatever becomes of them.
//!
//! A step is drawn without a look at what it meets: so calls come in the wrong order as often as in the right one.

/// Numbers that look random and come from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Those of one player of one game.
    pub(crate) fn new(seed: u64, player: u64) -> Self {
        let mut dice = Self(seed ^ player.wrapping_mul(0xa076_1d64_78bd_642f));
        // Seeds that are neighbours begin alike.
        let _first = dice.roll(1);
        dice
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    /// One of several, each as often as its weight says.
    pub(crate) fn pick<T: Copy>(&mut self, table: &[(u64, T)]) -> T {
        let mut left = self.roll(table.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in table {
            match left.checked_sub(*weight) {
                None => return *what,
                Some(rest) => left = rest,
            }
        }
        unreachable!("the weights' sum is above every roll")
    }
}

/// What a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A guest that ends with this code.
    Exits(u8),
    /// A guest that prints a word late, and ends with 0.
    Late,
    /// A guest that traps: 134.
    Traps,
    /// A guest that grows until it is refused: 137.
    Grows,
    /// A guest that sleeps for ever.
    Sleeps,
    /// The same as a component.
    SleepsAsComponent,
    /// A guest that sleeps at a terminal.
    AtTerminal,
    /// A guest that ends with 0 when its input does.
    Echoes,
    /// A guest that cannot be created: it imports what nobody has.
    Impossible,
    /// A native program that ends with this code.
    NativeExits(u8),
    /// A native program that sleeps, and ends with 15 at SIGTERM.
    NativeSleeps,
    /// The same at a terminal.
    NativeAtTerminal,
}

/// Exit codes that guests have; each is a file in the image.
pub(crate) const CODES: [u8; 4] = [0, 3, 42, 255];

/// Which server a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// One of its own.
    Own,
    /// One with the other containers of the same client.
    Clients,
    /// The one that lives from beginning to end, and is never killed.
    Shared,
}

/// A call, or a few that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Start,
    State,
    Pids,
    Stats,
    Kill(u32),
    Exec,
    Pause,
    Resume,
    Update,
    Resize,
    Input,
    Wait,
    Delete,
}

/// One step of a client: a deed to the container in this slot; into an empty slot a container of this kind is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// About one container.
    Container { slot: usize, deed: Deed, kind: Kind, home: Home, number: u8 },
    /// A pod from beginning to end.
    Pod { code: u8, stopped: bool },
}

/// How many containers a client has at most.
pub(crate) const SLOTS: usize = 3;

/// The next step of a client.
pub(crate) fn step(dice: &mut Dice) -> Step {
    let (code, number) = (CODES[dice.roll(4) as usize], dice.roll(256) as u8);
    let slot = dice.roll(SLOTS as u64) as usize;
    let kind = dice.pick(&[
        (6, Kind::Exits(code)),
        (2, Kind::Late),
        (2, Kind::Traps),
        (2, Kind::Grows),
        (8, Kind::Sleeps),
        (4, Kind::SleepsAsComponent),
        (4, Kind::AtTerminal),
        (4, Kind::Echoes),
        (2, Kind::Impossible),
        (2, Kind::NativeExits(code)),
        (3, Kind::NativeSleeps),
        (2, Kind::NativeAtTerminal),
    ]);
    let home = dice.pick(&[(4, Home::Own), (3, Home::Clients), (3, Home::Shared)]);
    let signal = dice.pick(&[(3, 15), (2, 9), (1, 2)]);
    let deed = dice.pick(&[
        (26, Deed::Start),
        (6, Deed::State),
        (3, Deed::Pids),
        (8, Deed::Stats),
        (7, Deed::Kill(signal)),
        (12, Deed::Exec),
        (6, Deed::Pause),
        (9, Deed::Resume),
        (6, Deed::Update),
        (4, Deed::Resize),
        (4, Deed::Input),
        (10, Deed::Wait),
        (9, Deed::Delete),
    ]);
    let pod = dice.roll(60) == 0;
    let stopped = dice.roll(2) == 0;
    match pod {
        true => Step::Pod { code, stopped },
        false => Step::Container { slot, deed, kind, home, number },
    }
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    /// The first process of a container.
    Process,
    /// A server.
    Server,
    /// The holder of a pod.
    Holder,
    /// containerd, which is started again.
    Containerd,
}

/// The next victim, a number by which it is chosen among its like, and the pause before it in milliseconds.
pub(crate) fn kill(dice: &mut Dice) -> (Victim, u64, u64) {
    let victim = dice.pick(&[
        (10, Victim::Process),
        (6, Victim::Server),
        (3, Victim::Holder),
        (3, Victim::Containerd),
    ]);
    (victim, dice.roll(1 << 16), 50 + dice.roll(1500))
}

#[test]
fn the_same_seed_draws_the_same_steps_and_another_draws_others() {
    let steps = |seed, player| {
        let mut dice = Dice::new(seed, player);
        (0..1000).map(|_| step(&mut dice)).collect::<Vec<_>>()
    };
    assert_eq!(steps(7, 1), steps(7, 1));
    assert_ne!(steps(7, 1), steps(7, 2));
    assert_ne!(steps(7, 1), steps(8, 1));
    assert!(steps(7, 1).iter().any(|step| matches!(step, Step::Pod { .. })));
}
