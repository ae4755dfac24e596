package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.process.Contestant;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.serve.EngineProcess.Answer;
import dev.lorikeet.bench.serve.EngineProcess.Opening;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A contender in a child process; used by one thread. */
final class RemoteEngine implements AutoCloseable {
  private final Contender contender;
  private final Contestant process;
  private String title = "";
  private long residentBytes;

  private RemoteEngine(Contender contender, Contestant process) {
    this.contender = contender;
    this.process = process;
  }

  /**
   * Starts a contender on the JVM and class path of this process.
   *
   * @param log where its error output goes
   * @throws NotAvailable if it does not open here
   */
  static RemoteEngine start(
      Contender contender, Map<String, String> settings, Inputs inputs, Path log)
      throws IOException, NotAvailable {
    return start(contender, settings, inputs, log, List.of());
  }

  /**
   * Starts a contender by way of another command.
   *
   * @param prefix the words before its own
   */
  static RemoteEngine start(
      Contender contender,
      Map<String, String> settings,
      Inputs inputs,
      Path log,
      List<String> prefix)
      throws IOException, NotAvailable {
    List<String> command = new ArrayList<>(prefix);
    command.addAll(Contestant.java(EngineProcess.class));
    RemoteEngine remote = new RemoteEngine(contender, Contestant.start(command, Map.of(), log));
    try {
      String opened = remote.ask(new Opening(contender, inputs, settings)).title();
      remote.title = opened == null ? contender.name() : opened;
      return remote;
    } catch (IOException | NotAvailable | RuntimeException e) {
      remote.close();
      throw e;
    }
  }

  Contender contender() {
    return contender;
  }

  /** Returns the contender's name and version. */
  String title() {
    return title;
  }

  /** Returns the resident memory of its process after the last workload. */
  long residentBytes() {
    return residentBytes;
  }

  Outcome run(Workload workload) throws IOException, NotAvailable {
    Outcome outcome = ask(workload).outcome();
    if (outcome == null) {
      throw new NotAvailable("expected an outcome, found an answer without");
    }
    return outcome;
  }

  private Answer ask(Object question) throws IOException, NotAvailable {
    Answer answer = process.ask(question, Answer.class);
    residentBytes = answer.residentBytes();
    String failure = answer.failure();
    if (failure != null) {
      throw new NotAvailable(failure);
    }
    return answer;
  }

  @Override
  public void close() {
    process.close();
  }
}
