//! Image references, written in full with Docker's default registry.

/// `nginx:1.27` as `docker://docker.io/library/nginx:1.27`.
pub(super) fn reference(text: &str) -> String {
    let (first, rest) = text.split_once('/').unwrap_or(("", text));
    let registry = first.contains(['.', ':']) || first == "localhost";
    match (first, registry) {
        ("", _) => format!("docker://docker.io/library/{rest}"),
        (_, true) => format!("docker://{text}"),
        (_, false) => format!("docker://docker.io/{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn what_docker_leaves_out_is_written() {
        assert_eq!(reference("nginx:1.27"), "docker://docker.io/library/nginx:1.27");
        assert_eq!(reference("grafana/grafana"), "docker://docker.io/grafana/grafana");
        assert_eq!(reference("registry.example:5000/app"), "docker://registry.example:5000/app");
        assert_eq!(reference("localhost/app@sha256:aa"), "docker://localhost/app@sha256:aa");
    }
}
