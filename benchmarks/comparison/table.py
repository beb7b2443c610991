"""What is printed, and what a line of results/compare.jsonl holds."""

from comparison.rounds import paired_ratio
from comparison.sizes import shown


def show_header(world, in_place):
    print(f"\nworld {world}, float32 sum, {'in place' if in_place else 'out of place'} (Gloo: always in place)")
    print(f"{'size':>9}  {'library':12}  {'variant':16}  {'time(us)':>10}  {'p95(us)':>10}  {'busbw':>6}  "
          f"{'CPU(us)':>10}  {'x pccl':>6}", flush=True)


def show_size(size, world, best):
    label = shown(size)
    for name, series in best.items():
        cpu = series.median_cpu_us
        beside = f"{paired_ratio(series.times_us, best['pccl'].times_us):.2f}" if "pccl" in best else ""
        print(f"{label:>9}  {name:12}  {series.variant:16}  {series.median_us:10.1f}  {series.p95_us:10.1f}  "
              f"{series.busbw(world):6.3f}  {'' if cpu is None else f'{cpu:.1f}':>10}  {beside:>6}")
        label = ""
    print(flush=True)


def show_marks(marks_of_sizes):
    for size, (text, ratio, met) in marks_of_sizes:
        print(f"  {'met   ' if met else 'MISSED'}  {shown(size):>9}  {ratio:6.2f}   {text}")


def result_line(size, world, in_place, best, marks):
    libraries = {}
    for name, series in best.items():
        libraries[name] = {
            "variant": series.variant,
            "median_us": round(series.median_us, 2),
            "p95_us": round(series.p95_us, 2),
            "busbw": round(series.busbw(world), 4),
        }
        if series.median_cpu_us is not None:
            libraries[name]["cpu_us"] = round(series.median_cpu_us, 2)
        if series.bytes != size:
            libraries[name]["bytes"] = series.bytes
    return {
        "benchmark": "compare",
        "world": world,
        "bytes": size,
        "in_place": in_place,
        "libraries": libraries,
        "ratios": {mark.text: round(mark.ratio, 3) for mark in marks},
    }
