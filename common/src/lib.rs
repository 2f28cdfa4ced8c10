//! What every lsx tool shares: the stack document, the contract, the plan engine, the hosts.
