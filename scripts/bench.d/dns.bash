# The section of scripts/bench about names.
# shellcheck shell=bash
# shellcheck disable=SC2154 # T, dns, rounds, parts are set by scripts/bench

readonly dns_seconds=3 dns_queries=1000000 dns_updates=3000

section_dns() { # lsx-dns as its supervisor runs it, beside the others in one namespace
    need dnsperf dnsperf
    need named bind9
    need dnsmasq dnsmasq-base
    need_lab 1
    tar -C "$(dirname "$dns")" -c lsx-dns | on_host sh -c 'mkdir bench && tar -C bench -x'
    on_host sh -c 'cat >bench/names && chmod 755 bench/names' <"$parts/names"
    on_host sh -c "cd bench && ./names $rounds $dns_seconds $dns_queries $dns_updates" >"$T/names"
    dns_rows own 'a query for a name of its own'
    dns_rows kept 'a query for a name of others, kept'
    row dns "$dns_updates signed updates, each on the disk before its answer, against BIND" \
        "$(dns_took updates.lsx 1000)" "$(dns_took updates.named 1000)" ms x0.33
    row dns 'processor for a signed update, against BIND' "$(dns_took update.lsx 1000)" "$(dns_took update.named 1000)" us -
    row dns 'memory with 1,000 names, against dnsmasq' "$(dns_took memory.lsx 1000)" "$(dns_took memory.dnsmasq 1000)" MB x1.5
    row dns 'start to the first answer, 1,000 names' "$(dns_took start.lsx 10)" - ms 50 \
        "dnsmasq $(dns_took start.dnsmasq 10) ms, BIND $(dns_took start.named 10) ms"
    row dns 'start to the first answer, 100,000 names, against BIND' "$(dns_took load.lsx 10)" "$(dns_took load.named 10)" ms x2
    row dns "queries lost while 100,000 names are loaded $(dns_took reload.times 1) times" "$(dns_took reload.lost 1)" - queries 1 \
        "of $(dns_took reload.sent 1)"
}

dns_rows() { # KEY WHAT: processor time, system calls included
    row dns "processor for $2, against dnsmasq" "$(dns_took "$1.lsx" 1000)" "$(dns_took "$1.dnsmasq" 1000)" us x0.9
    row dns "processor for $2, against BIND" "$(dns_took "$1.lsx" 1000)" "$(dns_took "$1.named" 1000)" us x0.5
}

dns_took() { least "$T/names" "$1" | jq --argjson of "$2" '. / $of | . * 100 | round / 100'; } # KEY DIVISOR
