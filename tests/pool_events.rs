//! Events of workers, as the program's subscriber hears them.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use common::{alone, pool_of, wait_until, watchdog};
use shmpool::{ErrorKind, Pool};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

shmpool::test_workers!();

/// Keeps what workers say, as texts by the names of the fields, and the level as one of them.
#[derive(Clone)]
struct Kept {
    events: Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>,
    max: Level,
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.max && metadata.target() == "shmpool::worker"
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.max))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.0.insert("level", event.metadata().level().to_string());
        self.events.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Kept {
    /// The program's subscriber from now on.
    fn install(max: Level) -> Self {
        let kept = Kept { events: Arc::default(), max };
        tracing::subscriber::set_global_default(kept.clone()).unwrap();
        kept
    }

    fn messages(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|event| event["message"].clone()).collect()
    }

    fn of(&self, message: &str) -> BTreeMap<&'static str, String> {
        wait_until("the event has come", || self.messages().iter().any(|found| found == message));
        self.events.lock().unwrap().iter().find(|event| event["message"] == message).unwrap().clone()
    }
}

/// An event of each kind; how often fields of the last one, which nobody wants, were asked for.
fn speak(n: u64) -> u32 {
    static N_ASKED: AtomicU32 = AtomicU32::new(0);
    let span = tracing::info_span!("a span is none", n);
    let _in_it = span.enter();
    tracing::warn!(n, what = "things", "there are {n} things");
    std::thread::spawn(|| tracing::error!(target: "elsewhere", "from another thread")).join().unwrap();
    tracing::debug!(asked = N_ASKED.fetch_add(1, SeqCst), "too quiet");
    N_ASKED.load(SeqCst)
}

#[test]
fn events_of_workers_are_events_of_the_program() {
    alone(
        "events_of_workers_are_events_of_the_program",
        |_| (),
        || {
            let _watchdog = watchdog("events_of_workers", 60);
            let kept = Kept::install(Level::INFO);
            let hello = |from: String| tracing::info!("hello from {from}");
            let goodbye = |(): ()| tracing::info!("goodbye");
            let builder = Pool::builder().workers(1).capacity_bytes(1 << 20);
            let pool = builder
                .initializer(hello, "me".to_owned())
                .unwrap()
                .finalizer(goodbye, ())
                .unwrap()
                .build()
                .unwrap();
            let pid = pool.worker_pids()[0].to_string();
            assert_eq!(
                pool.submit(speak, 3).unwrap().result().unwrap(),
                0,
                "nobody wants it, so nothing is made of it"
            );
            let xs = pool.zeros::<u8>(1).unwrap();
            let kernel = |x: u8| {
                tracing::info!("from a kernel");
                x
            };
            pool.map(&xs, kernel).unwrap();
            kept.of("hello from me");
            let event = kept.of("there are 3 things");
            assert_eq!(
                (&event["level"], &event["from"], &event["fields"]),
                (&"WARN".into(), &"pool_events".into(), &"n=3 what=\"things\"".into())
            );
            assert_eq!((&event["pid"], &event["slot"], &event["n_lost"]), (&pid, &"0".into(), &"0".into()));
            assert!(
                event["file"].ends_with("pool_events.rs") && event["line"].parse::<u32>().unwrap() > 80,
                "{event:?}"
            );
            let event = kept.of("from another thread");
            assert_eq!((&event["level"], &event["from"]), (&"ERROR".into(), &"elsewhere".into()));
            kept.of("from a kernel");
            drop(pool);
            assert!(kept.messages().contains(&"goodbye".to_owned()), "{:?}", kept.messages());
            assert_eq!(kept.messages().len(), 5);
        },
    );
}

#[test]
fn what_a_worker_said_before_it_died_is_heard() {
    alone(
        "what_a_worker_said_before_it_died_is_heard",
        |_| (),
        || {
            let _watchdog = watchdog("what_a_worker_said", 60);
            let kept = Kept::install(Level::TRACE);
            let pool = pool_of(1);
            let last_words = |n: u32| -> () {
                for i in 0..n {
                    tracing::trace!(i, "again");
                }
                tracing::error!("this is the end");
                std::process::abort()
            };
            pool.submit(last_words, 100).unwrap().error().unwrap();
            kept.of("this is the end");
            assert_eq!(kept.messages().len(), 101);
        },
    );
}

#[test]
fn a_flood_is_cut_and_holds_nothing_up() {
    alone(
        "a_flood_is_cut_and_holds_nothing_up",
        |_| (),
        || {
            let _watchdog = watchdog("a_flood_is_cut", 120);
            let kept = Kept::install(Level::INFO);
            let pool = pool_of(2);
            let flood = |n: u32| {
                for i in 0..n {
                    tracing::info!(i, "{}", "word ".repeat(1000));
                }
                vec![7_u8; 100_000] // asks the parent for room, behind all of these
            };
            let floods: Vec<_> = (0..2).map(|_| pool.submit(flood, 2000).unwrap()).collect();
            assert!(floods.iter().all(|flood| flood.result().unwrap().len() == 100_000));
            let last = |(): ()| tracing::info!("at last");
            wait_until("one is heard that says how many were lost", || {
                pool.submit(last, ()).unwrap().result().unwrap();
                let events = kept.events.lock().unwrap();
                let n_lost =
                    events.iter().map(|event| event["n_lost"].parse::<usize>().unwrap()).sum::<usize>();
                events.iter().filter(|event| event["message"] != "at last").count() + n_lost >= 4000
            });
            let events = kept.events.lock().unwrap();
            assert!(events.iter().all(|event| event["message"].len() <= 1500));
        },
    );
}

#[test]
fn a_worker_may_have_a_subscriber_of_its_own() {
    alone(
        "a_worker_may_have_a_subscriber_of_its_own",
        |_| (),
        || {
            let _watchdog = watchdog("a_worker_may_have_a_subscriber", 60);
            let kept = Kept::install(Level::INFO);
            let choose = |(): ()| {
                tracing::info!("before");
                drop(Kept::install(Level::INFO));
            };
            let pool = Pool::builder()
                .workers(1)
                .capacity_bytes(1 << 20)
                .initializer(choose, ())
                .unwrap()
                .build()
                .unwrap();
            pool.submit(speak, 1).unwrap().result().unwrap();
            drop(pool);
            assert_eq!(kept.messages(), ["before"]);
        },
    );
}

#[test]
fn a_field_whose_own_code_speaks_is_one_event() {
    struct Talker;
    impl fmt::Debug for Talker {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("aside");
            f.write_str("talk")
        }
    }
    alone(
        "a_field_whose_own_code_speaks_is_one_event",
        |_| (),
        || {
            let _watchdog = watchdog("a_field_whose_own_code_speaks", 60);
            let kept = Kept::install(Level::INFO);
            let pool = pool_of(1);
            pool.submit(|(): ()| tracing::info!(field = ?Talker, "main"), ()).unwrap().result().unwrap();
            assert_eq!(kept.of("main")["fields"], "field=talk");
            drop(pool);
            assert_eq!(kept.messages(), ["main"]);
        },
    );
}

#[test]
fn a_worker_is_heard_after_a_field_that_panicked() {
    struct Wrong;
    impl fmt::Debug for Wrong {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("this field says nothing")
        }
    }
    alone(
        "a_worker_is_heard_after_a_field_that_panicked",
        |_| (),
        || {
            let _watchdog = watchdog("a_worker_is_heard_after_a_field", 60);
            let kept = Kept::install(Level::INFO);
            let pool = pool_of(1);
            let panicked = pool.submit(|(): ()| tracing::info!(field = ?Wrong, "lost"), ()).unwrap();
            assert!(matches!(panicked.result().unwrap_err().kind(), ErrorKind::TaskPanicked { .. }));
            pool.submit(|(): ()| tracing::info!("next"), ()).unwrap().result().unwrap();
            drop(pool);
            assert_eq!(kept.messages(), ["next"]);
        },
    );
}

#[test]
fn without_a_subscriber_nothing_is_made() {
    alone(
        "without_a_subscriber_nothing_is_made",
        |_| (),
        || {
            let _watchdog = watchdog("without_a_subscriber", 60);
            let pool = pool_of(1);
            let n_asked = pool.submit(
                |(): ()| {
                    let mut n = 0;
                    tracing::error!(
                        n = {
                            n += 1;
                            n
                        },
                        "nobody hears"
                    );
                    n
                },
                (),
            );
            assert_eq!(n_asked.unwrap().result().unwrap(), 0);
        },
    );
}
