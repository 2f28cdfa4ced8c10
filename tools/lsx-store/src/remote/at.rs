//! The flags that all verbs on objects have.

use clap::Args;
use std::path::PathBuf;

/// Where the server is, and who asks.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The server, such as https://s3.example.org; default: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, else that of the stack
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Its region; default: $AWS_REGION, $AWS_DEFAULT_REGION, else that of the stack, else us-east-1
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// The stack whose buckets and users are meant; default without an endpoint: $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
    /// A user of `store.users` of the stack; default: the first that the bucket allows it
    #[arg(long = "as", value_name = "USER")]
    pub(crate) user: Option<String>,
}
