//! The web page: what the service knows of a cluster, which is little.

use aws_lc_rs::digest;

use crate::record::Record;
use crate::state::Totals;
use crate::time::Time;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #8884}\
td{font-variant-numeric:tabular-nums}\
input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}\
button{font:inherit;margin-top:.5rem;padding:.4rem 1rem}\
.note{opacity:.75;font-size:.9em}";

/// What may be on the page: its own style, and a form that comes back here.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A line of the table.
#[derive(Debug, PartialEq)]
pub struct Line {
    name: String,
    data: usize,
    endpoints: usize,
    seconds: u64,
}

impl Line {
    /// What is shown of an affiliate. Its id could name the node, so only a part of a digest of it is.
    pub fn of(record: &Record, now: Time) -> Line {
        let digest = digest::digest(&digest::SHA256, record.id());
        let name = digest
            .as_ref()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let last = record.expires().or_else(|| record.endpoints().map(|e| e.expires).max());
        Line {
            name,
            data: record.data().len(),
            endpoints: record.endpoint_count(),
            seconds: now.until(last.unwrap_or(now)).as_secs(),
        }
    }
}

/// The first page.
pub fn welcome(totals: Totals, watchers: usize, notice: Option<&str>) -> String {
    let notice = notice.map(|text| format!("<p role=alert><strong>{}</strong></p>", escape(text)));
    let Totals {
        clusters, affiliates, ..
    } = totals;
    frame(&format!(
        "<p>Nodes of a cluster find each other here. What they say is encrypted with a key that this service does not \
         have.</p>{}<form method=post action=/cluster><label for=id>Cluster id</label>\
         <input id=id name=id required maxlength=256 autocomplete=off spellcheck=false>\
         <button>Show what is known</button></form>\
         <p class=note>{clusters} clusters, {affiliates} affiliates, {watchers} watches.</p>",
        notice.unwrap_or_default()
    ))
}

/// The page of a cluster.
pub fn cluster(lines: &[Line]) -> String {
    let mut rows = String::new();
    for line in lines {
        let left = match line.seconds {
            0 => "expired".to_owned(),
            1..60 => format!("{} s", line.seconds),
            seconds => format!("{} min", seconds / 60),
        };
        rows.push_str(&format!(
            "<tr><td><code>{}</code><td>{}<td>{}<td>{left}",
            line.name, line.data, line.endpoints
        ));
    }
    let table = match lines {
        [] => "<p>Nothing is known of this cluster: no node has announced itself, or all have expired.</p>".to_owned(),
        _ => format!(
            "<p>{} affiliates.</p><table><thead><tr><th>Affiliate<th>Sealed bytes<th>Endpoints<th>Time left\
             <tbody>{rows}</table><p class=note>Affiliates are named by a digest of their id. An affiliate without \
             sealed bytes has been seen by others and has not announced itself.</p>",
            lines.len()
        ),
    };
    frame(&format!("{table}<p><a href=/>Another cluster</a></p>"))
}

fn frame(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Keelson discovery</title><style>{STYLE}</style><main><h1>Keelson discovery</h1>{body}</main></html>"
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Endpoint, Parts};

    #[test]
    fn the_page_shows_neither_ids_nor_data() {
        let endpoints = vec![Endpoint {
            expires: Time(90),
            bytes: b"endpoint",
        }];
        let data = Some((b"secret".as_slice(), Time(160)));
        let record = Parts {
            id: b"node-1",
            data,
            endpoints,
        }
        .pack()
        .unwrap();
        let page = cluster(&[Line::of(&record, Time(100))]);
        assert!(page.contains("<td>6<td>1<td>1 min"), "{page}");
        assert!(!page.contains("node-1") && !page.contains("secret"));
    }

    #[test]
    fn text_is_text() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        let page = welcome(Totals::default(), 0, Some("<script>"));
        assert!(!page.contains("<script>"));
    }
}
