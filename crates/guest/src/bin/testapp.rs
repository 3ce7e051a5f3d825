//! The test image's only program: a small web server, a client, and a few jobs, for tests that cannot use a shell.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: test serve [--port N] | dial URL | resolve NAME | sleep SECONDS | exit N | echo WORDS… | cat FILE | \
write FILE TEXT | env | log N [MILLISECONDS] | terminal | fill FILE MEGABYTES | eat MEGABYTES";
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest request head and answer read.
const MAX: u64 = 1 << 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("test: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> io::Result<u8> {
    match words {
        ["serve"] => serve(8080)?,
        ["serve", "--port", port] => serve(number(port)?)?,
        ["dial", url] => print!("{}", dial(url)?),
        ["resolve", name] => {
            for address in dns::Resolver::from_system().resolve(name)? {
                println!("{address}");
            }
        }
        ["sleep", seconds] => std::thread::sleep(Duration::from_secs(number(seconds)?)),
        ["exit", code] => return number(code),
        ["echo", words @ ..] => println!("{}", words.join(" ")),
        ["cat", file] => {
            io::copy(&mut std::fs::File::open(file)?, &mut io::stdout())?;
        }
        ["cat"] => {
            io::copy(&mut io::stdin(), &mut io::stdout())?;
        }
        ["write", file, text] => std::fs::write(file, text)?,
        ["env"] => {
            for (name, value) in std::env::vars() {
                println!("{name}={value}");
            }
        }
        ["log", count] => log(number(count)?, 0)?,
        ["log", count, pause] => log(number(count)?, number(pause)?)?,
        ["terminal"] => terminal()?,
        ["fill", file, megabytes] => {
            let mut file = std::fs::File::create(file)?;
            for _ in 0..number::<u64>(megabytes)? {
                file.write_all(&[0x5a; 1 << 20])?;
            }
            file.sync_all()?;
        }
        ["eat", megabytes] => {
            let eaten: Vec<Vec<u8>> = (0..number::<u64>(megabytes)?).map(|_| vec![1u8; 1 << 20]).collect();
            println!("{}", eaten.len());
            std::thread::sleep(Duration::from_secs(3600));
        }
        _ => return Err(io::Error::other(USAGE)),
    }
    Ok(0)
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| io::Error::other(format!("{text:?} is not a number that fits here")))
}

fn log(count: u64, pause: u64) -> io::Result<()> {
    for line in 1..=count {
        writeln!(io::stdout(), "line {line}")?;
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(())
}

/// Says how large its terminal is, at once and after every line that is typed; `exit` ends it.
fn terminal() -> io::Result<()> {
    let mut lines = io::stdin().lines();
    loop {
        let size = rustix::termios::tcgetwinsize(io::stdin())?;
        println!("a terminal of {} columns and {} rows", size.ws_col, size.ws_row);
        match lines.next().transpose()?.as_deref() {
            None | Some("exit") => return Ok(()),
            Some(_) => {}
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    // Both families where there are both.
    let listener = TcpListener::bind(("::".parse::<std::net::Ipv6Addr>().map_err(io::Error::other)?, port))
        .or_else(|_| TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)))?;
    println!("serving on port {port}");
    std::thread::spawn(end_on_signal);
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            if let Err(error) = respond(stream) {
                eprintln!("request: {error}");
            }
        });
    }
    Ok(())
}

/// PID 1 ignores signals it does not handle, and a pod would take its whole grace period to end.
fn end_on_signal() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        && signals.forever().next().is_some()
    {
        println!("ending");
        std::process::exit(0);
    }
}

fn respond(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new((&stream).take(MAX));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    println!("{} {target}", peer.ip());
    let (status, body) = answer(path, query, peer);
    write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn answer(path: &str, query: &str, peer: SocketAddr) -> (&'static str, String) {
    let ok = |text: String| ("200 OK", text);
    match path {
        "/" => ok(format!("{}\n", hostname())),
        "/healthz" => ok("ok\n".into()),
        "/version" => ok(format!(
            "{}\n",
            std::env::var("TEST_VERSION").unwrap_or_else(|_| "v1".into())
        )),
        "/peer" => ok(format!("{}\n", peer.ip())),
        "/echo" => ok(format!("{query}\n")),
        "/env" => ok(std::env::vars()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect()),
        "/dial" => match dial(query.strip_prefix("url=").unwrap_or(query)) {
            Ok(text) => ok(text),
            Err(error) => ("502 Bad Gateway", format!("{error}\n")),
        },
        "/exit" => std::process::exit(number(query).unwrap_or(1)),
        _ => ("404 Not Found", format!("nothing at {path}\n")),
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The body of a GET; anything but 200 is an error.
fn dial(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, "/".to_owned()), |(a, p)| (a, format!("/{p}")));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, number(port)?),
        _ => (authority, 80),
    };
    let mut last = io::Error::other(format!("{host} has no address"));
    for address in dns::Resolver::from_system().resolve(host)? {
        let address = SocketAddr::new(address, port);
        let mut stream = match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last = io::Error::new(error.kind(), format!("connect to {address}: {error}"));
                continue;
            }
        };
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.take(MAX).read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        if head.split(' ').nth(1) == Some("200") {
            return Ok(body.to_owned());
        }
        return Err(io::Error::other(format!(
            "{url}: {}: {body}",
            head.lines().next().unwrap_or_default()
        )));
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_gets_what_the_server_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            listener
                .incoming()
                .flatten()
                .for_each(|stream| drop(std::thread::spawn(|| respond(stream))));
        });
        assert_eq!(dial(&format!("http://127.0.0.1:{port}/healthz")).unwrap(), "ok\n");
        assert_eq!(dial(&format!("127.0.0.1:{port}/echo?a=b")).unwrap(), "a=b\n");
        let through = dial(&format!(
            "http://127.0.0.1:{port}/dial?url=http://127.0.0.1:{port}/version"
        ));
        assert_eq!(through.unwrap(), "v1\n");
        assert!(
            dial(&format!("http://127.0.0.1:{port}/none"))
                .unwrap_err()
                .to_string()
                .contains("404")
        );
    }

    #[test]
    fn a_wrong_command_shows_the_usage_and_an_exit_code_is_kept() {
        assert!(run(&["dance"]).unwrap_err().to_string().contains("usage"));
        assert_eq!(run(&["exit", "7"]).unwrap(), 7);
        assert!(run(&["exit", "700"]).is_err());
    }
}
