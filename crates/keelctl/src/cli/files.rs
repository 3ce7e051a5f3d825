//! Arguments of commands about the files of nodes.

use clap::Args;

/// `copy`
#[derive(Debug, Args)]
pub struct Copy {
    /// Folder or file of the node
    #[arg(value_name = "SRC-PATH")]
    pub source: String,
    /// Folder to unpack into, made if it is missing; `-` writes the archive (tar.gz) to standard output
    #[arg(value_name = "-|LOCAL-PATH", allow_hyphen_values = true)]
    pub target: String,
}

/// `list`
#[derive(Debug, Args)]
pub struct List {
    /// Folder or file of the node
    #[arg(default_value = "/")]
    pub path: String,
    /// How many levels of folders to go into (1: the folder itself)
    #[arg(short, long, default_value_t = 1)]
    pub depth: i32,
    /// Sizes and times for people
    #[arg(short = 'H', long)]
    pub humanize: bool,
    /// Modes, owners, sizes, times and labels too
    #[arg(short, long)]
    pub long: bool,
    /// Go into all folders, unless --depth says how deep
    #[arg(short, long)]
    pub recurse: bool,
    /// Only these types: f (regular file), d (folder), l or L (symbolic link)
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = ["f", "d", "l", "L"])]
    pub types: Vec<String>,
}

/// `read`
#[derive(Debug, Args)]
pub struct Read {
    /// File of the node
    pub path: String,
}

/// `usage`
#[derive(Debug, Args)]
pub struct Usage {
    /// Folders or files of the node
    #[arg(value_name = "PATH", default_value = "/")]
    pub paths: Vec<String>,
    /// Files too, not only folders
    #[arg(short, long)]
    pub all: bool,
    /// How many levels of folders to show (0: only the sum)
    #[arg(short, long, default_value_t = 0)]
    pub depth: i32,
    /// Sizes for people
    #[arg(short = 'H', long)]
    pub humanize: bool,
    /// Leave out what is smaller than this many bytes or, if negative, what is larger
    #[arg(short, long, default_value_t = 0, allow_negative_numbers = true)]
    pub threshold: i64,
}
