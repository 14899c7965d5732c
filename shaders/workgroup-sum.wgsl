// A sum over ACROSS threads side by side: a part of group-norm-stats.wgsl, group-norm-whole.wgsl and layer-norm.wgsl, which say how
// many those are: all of a workgroup, or one of its subgroups. Where SUBGROUP is above 1 lanes add theirs up without a barrier, and
// there are no more subgroups than a subgroup has lanes; elsewhere ACROSS is the workgroup.

var<workgroup> partial: array<vec2f, WORKGROUP>;

// For every thread. Begins with a barrier where it needs any, so that it may be called twice.
fn sum_across(sums: vec2f, lane: u32) -> vec2f {
  if (SUBGROUP > 1) {
    let of_subgroup = sum_of_lanes(sums);
    if (ACROSS == SUBGROUP) {
      return of_subgroup;
    }
    let one = lane % SUBGROUP;
    workgroupBarrier();
    if (one == 0) {
      partial[lane / SUBGROUP] = of_subgroup;
    }
    workgroupBarrier();
    return sum_of_lanes(select(vec2f(0), partial[one], one < WORKGROUP / SUBGROUP));
  }
  workgroupBarrier();
  partial[lane] = sums;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
  }
  return workgroupUniformLoad(&partial[0]);
}
