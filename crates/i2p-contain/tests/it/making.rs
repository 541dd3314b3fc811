//! Where the network is made.

use std::{fs, future::poll_fn, pin::pin, task::Poll, thread, time::Duration};

use i2p_contain::link::{Link, LinkError, LinkSettings};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;

use crate::namespace::inside;

#[test]
fn the_namespace_is_that_in_which_it_began() {
    inside("making::the_namespace_is_that_in_which_it_began", || {
        let repeats = || fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries").unwrap();
        let before = repeats();
        let make = || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut settings = LinkSettings::default();
                // No kernel has this by itself.
                settings.connect_timeout = Duration::from_secs(3);
                let mut link = pin!(Link::open(&settings));
                let waits = poll_fn(|context| Poll::Ready(link.as_mut().poll(context).is_pending())).await;
                assert!(waits, "it did not wait");
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                link.await.unwrap()
            })
        };
        let link = thread::spawn(make).join().unwrap();
        assert_eq!(link.addresses().listener_v6.is_some(), fs::exists("/proc/net/if_inet6").unwrap());
        assert_ne!(repeats(), before);
    });
}

#[test]
fn a_runtime_of_several_threads_is_refused() {
    inside("making::a_runtime_of_several_threads_is_refused", || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let refused = runtime.block_on(Link::open(&LinkSettings::default()));
        assert!(matches!(refused, Err(LinkError::Runtime)), "{refused:?}");
    });
}
