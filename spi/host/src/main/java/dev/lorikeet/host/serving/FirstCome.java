package dev.lorikeet.host.serving;

import java.util.List;

/** First come, first served, within each priority. */
final class FirstCome implements AdmissionPolicy {
  @Override
  public int next(List<Sequence> waiting, List<Sequence> running, long round) {
    return AdmissionPolicy.firstArrived(waiting, round);
  }

  @Override
  public boolean precedes(Sequence first, Sequence second) {
    return ARRIVAL.compare(first, second) < 0;
  }
}
