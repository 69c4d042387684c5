//! See [`kakehashi_bench::program`].

fn main() -> anyhow::Result<()> {
    kakehashi_bench::program::run()
}
