package dev.lorikeet.host.serving;

import java.util.List;
import java.util.Set;

/** First come, first served, within each priority. */
final class FirstCome implements AdmissionPolicy {
  @Override
  public int next(List<Sequence> waiting, List<Sequence> running, Set<Sequence> tried) {
    return AdmissionPolicy.firstArrived(waiting, tried);
  }

  @Override
  public boolean precedes(Sequence first, Sequence second) {
    return ARRIVAL.compare(first, second) < 0;
  }
}
