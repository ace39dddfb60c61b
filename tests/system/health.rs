//! The application is asked whether it is well, by HTTP and by a command: as often as it takes, and no
//! longer than it may take.

use crate::backup::Shop;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a server answers to the request of this number, from 1 on, for this path; nothing: it does not.
type Answers = fn(u32, &str) -> Option<String>;

/// A web server, which lives as long as the tests.
struct Web {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
}

impl Web {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            // Those that get no answer are kept, so that they wait for it.
            let mut waiting = Vec::new();
            for stream in listener.incoming().flatten() {
                waiting.extend(serve(stream, &count, answers));
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(mut stream: TcpStream, count: &AtomicU32, answers: Answers) -> Option<TcpStream> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    while !lines.next()?.ok()?.is_empty() {}
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let Some(answer) = answers(number, &path) else {
        return Some(stream);
    };
    let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Whoever hung up meanwhile asks again.
    let _ = stream.write_all(text.as_bytes());
    None
}

#[test]
fn an_application_may_take_its_time_to_become_well() {
    let shop = Shop::with_units();
    // Slow to start; and one address that leads to another.
    let web = Web::start(|number, path| {
        Some(match path {
            "/old" => "302 Found\r\nLocation: /health".to_owned(),
            _ if number < 6 => "503 Service Unavailable".to_owned(),
            _ => "204 No Content".to_owned(),
        })
    });
    shop.settings(&format!(
        "SG_UNITS=shop.service\nSG_HEALTH_URL=\"{} {}\"\nSG_HEALTH_TIMEOUT=1h\nSG_HEALTH_COMMAND=\"test -e {}\"\n",
        web.url("/health"),
        web.url("/old"),
        shop.path("bin/units/shop.service").display()
    ));
    shop.backup(&[]);
    let then = shop.state();
    shop.live_on();
    std::fs::remove_file(shop.path("etc/app/later.ini")).unwrap();
    assert_ne!(shop.state(), then);
    shop.must(&[]);
    assert_eq!(shop.state(), then);
    // Five times it was not well, then both addresses were asked, one of them twice.
    assert_eq!(web.asked.load(Ordering::SeqCst), 8);
}

#[test]
fn one_that_does_not_become_well_is_put_back() {
    let shop = Shop::with_units();
    let well = Web::start(|_, _| Some("200 OK".to_owned()));
    let ill = Web::start(|_, path| {
        Some(match path {
            "/round" => "302 Found\r\nLocation: /round".to_owned(),
            "/elsewhere" => "301 Moved Permanently\r\nLocation: /health".to_owned(),
            _ => "503 Service Unavailable".to_owned(),
        })
    });
    let mute = Web::start(|_, _| None);
    shop.backup(&[]);
    shop.live_on();
    let now = shop.state();
    // No server has ever this port.
    let refused = "http://127.0.0.1:1/".to_owned();
    for (url, reason) in [
        (ill.url("/health"), "503"),
        (ill.url("/elsewhere"), "503"),
        (ill.url("/round"), "redirect"),
        (refused, "refused"),
        (mute.url("/health"), "timeout"),
    ] {
        // Of several, all have to be well.
        shop.settings(&format!(
            "SG_UNITS=shop.service\nSG_HEALTH_TIMEOUT=0s\nSG_HEALTH_URL=\"{} {url}\"\n",
            well.url("/")
        ));
        let output = shop.restore(&[], None);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        for part in [
            &url,
            reason,
            "not well",
            "; everything is as it was before",
            "hint:",
            "SG_HEALTH_TIMEOUT",
        ] {
            assert!(words.contains(part), "'{part}' in {words}");
        }
        assert_eq!(shop.state(), now, "{url}");
        assert_eq!(shop.left(), "", "{url}");
    }
    assert!(well.asked.load(Ordering::SeqCst) >= 5);

    shop.settings("SG_HEALTH_URL=localhost:8080\n");
    let output = shop.restore(&["--dry-run"], None);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("SG_HEALTH_URL is no address"), "{words}");
}
