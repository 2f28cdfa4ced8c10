# The section of scripts/bench about load balancers.
# shellcheck shell=bash
# shellcheck disable=SC2154 # T, tool, lab, rounds are set by scripts/bench

readonly balancer_address=10.61.0.1

section_balance() {
    need haproxy haproxy
    need wrk wrk
    need_lab 1
    cat >"$T/balance.yaml" <<TEXT
stack: bench
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }
networks: { lan: { cidr: 10.61.0.0/24, gateway: h1 } }
instances:
  web: { image: none, host: h1, count: 2, networks: [lan] }
  visitor: { image: none, host: h1, networks: [lan] }
balance:
  www: { host: h1, listen: [80], mode: http, to: web, port: 80 }
TEXT
    operator "$tool" up --quiet "$T/balance.yaml" >"$T/up.json"
    balance_instances
    balance_by_hand
    local n
    : >"$T/requests"
    for ((n = 0; n < rounds; n++)); do
        requests lsx 80
        requests bare 8080
    done
    row balance 'a request through a balancer, against a configuration by hand' "$(least "$T/requests" lsx)" \
        "$(least "$T/requests" bare)" us x1.0
}

balance_instances() { # namespaces in place of instances; each web server answers by HAProxy itself
    local name
    on_host sh -c 'cat >lsx-net && chmod 755 lsx-net' <"$tool"
    for name in web-1 web-2 visitor; do on_host ip netns add "$name"; done
    jq -c '.resolved.instances[] | .name as $name | .nics[] | {stack: "bench", instance: $name, netns: $name} + .' "$T/up.json" |
        on_host ./lsx-net attach --quiet >/dev/null
    on_host sh -c 'cat >/web.cfg' <<'TEXT'
defaults
	mode http
	timeout client 30s
	timeout connect 5s
	timeout server 30s
frontend web
	bind 0.0.0.0:80
	http-request return status 200 content-type text/plain string hello
TEXT
    for name in web-1 web-2; do on_host ip netns exec "$name" haproxy -D -f /web.cfg; done
}

balance_by_hand() { # the same work with the least configuration, in the same namespace
    {
        printf 'defaults\n\tmode http\n\ttimeout client 30s\n\ttimeout connect 5s\n\ttimeout server 30s\n'
        printf 'frontend web\n\tbind 0.0.0.0:8080\n\toption forwardfor\n\tdefault_backend web\nbackend web\n\tbalance roundrobin\n'
        jq -r '.resolved.instances[] | select(.name | startswith("web")) | "\tserver \(.name) \(.nics[0].address | split("/")[0]):80 check"' \
            "$T/up.json"
    } >"$T/bare.cfg"
    on_host sh -c 'cat >/bare.cfg' <"$T/bare.cfg"
    on_host ip netns exec lsx-bench nft insert rule inet lsx input tcp dport 8080 accept
    on_host ip netns exec lsx-bench haproxy -D -f /bare.cfg
    sleep 3 # both have asked their servers
}

requests() { # KEY PORT: microseconds of processor and waiting for one request, as KEY<tab>US
    local rate
    rate=$(on_host ip netns exec visitor wrk -t 1 -c 16 -d 3s "http://$balancer_address:$2/" |
        awk '/Requests\/sec/ { print $2 } /Non-2xx/ { exit 1 }')
    printf '%s\t%s\n' "$1" "$(jq -n "1e6 / $rate | . * 10 | round / 10")" >>"$T/requests"
}
