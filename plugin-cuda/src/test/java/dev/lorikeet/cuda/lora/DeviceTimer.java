package dev.lorikeet.cuda.lora;

import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaGraph;
import dev.lorikeet.cuda.driver.CudaStream;
import java.util.Arrays;
import java.util.function.IntConsumer;

/** Takes medians of times that the device measures itself, in microseconds. */
final class DeviceTimer implements AutoCloseable {
  private final CudaStream stream;
  private final CudaEvent start = CudaEvent.forTiming();
  private final CudaEvent end = CudaEvent.forTiming();
  private final int repeats;

  DeviceTimer(CudaStream stream, int repeats) {
    this.stream = stream;
    this.repeats = repeats;
  }

  /** The median time of one call, each between two events, over rotating buffers. */
  double medianMicros(int rotation, IntConsumer call) {
    double[] times = new double[repeats];
    for (int i = -rotation; i < repeats; i++) {
      start.record(stream);
      call.accept(Math.floorMod(i, rotation));
      end.record(stream);
      end.synchronize();
      if (i >= 0) {
        times[i] = 1000.0 * CudaEvent.millisecondsBetween(start, end);
      }
    }
    return median(times);
  }

  /** The median time per call of a graph of calls over all rotating buffers. */
  double graphMicros(int rotation, IntConsumer call) {
    int calls = Math.max(rotation, 20);
    try (CudaGraph graph =
        stream.capture(
            () -> {
              for (int i = 0; i < calls; i++) {
                call.accept(i % rotation);
              }
            })) {
      double[] times = new double[Math.max(5, repeats / 4)];
      for (int i = -1; i < times.length; i++) {
        start.record(stream);
        stream.launch(graph);
        end.record(stream);
        end.synchronize();
        if (i >= 0) {
          times[i] = 1000.0 * CudaEvent.millisecondsBetween(start, end) / calls;
        }
      }
      return median(times);
    }
  }

  private static double median(double[] times) {
    Arrays.sort(times);
    int middle = times.length / 2;
    return times.length % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
  }

  @Override
  public void close() {
    start.close();
    end.close();
  }
}
