package record

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/planecheck/planecheck/checkers/history"
)

// errorKinds are the errors that tell the fate of an operation, by their text.
// The code is no help: etcd 3.7.3 sends "too many requests" with the code
// Unknown, because its table (etcdserver/api/v3rpc/util.go, toGRPCErrorMap)
// names the client's error there.
//
// What gRPC itself says, such as a message that is too large for it, is not
// here: the same words come from before and from after the handler.
var errorKinds = func() map[string]history.StoreErrorKind {
	kinds := make(map[string]history.StoreErrorKind)
	for kind, list := range map[history.StoreErrorKind][]error{
		history.ErrorNoSpace:         {rpctypes.ErrGRPCNoSpace},
		history.ErrorCompacted:       {rpctypes.ErrGRPCCompacted},
		history.ErrorFutureRev:       {rpctypes.ErrGRPCFutureRev},
		history.ErrorLeaseNotFound:   {rpctypes.ErrGRPCLeaseNotFound},
		history.ErrorLeaseExists:     {rpctypes.ErrGRPCLeaseExist},
		history.ErrorTooLarge:        {rpctypes.ErrGRPCRequestTooLarge},
		history.ErrorTooManyRequests: {rpctypes.ErrGRPCRequestTooManyRequests},
		history.ErrorInvalid: {
			rpctypes.ErrGRPCEmptyKey, rpctypes.ErrGRPCKeyNotFound, rpctypes.ErrGRPCValueProvided,
			rpctypes.ErrGRPCLeaseProvided, rpctypes.ErrGRPCTooManyOps, rpctypes.ErrGRPCDuplicateKey,
			rpctypes.ErrGRPCInvalidSortOption, rpctypes.ErrGRPCLeaseTTLTooLarge,
		},
	} {
		for _, err := range list {
			kinds[rpctypes.ErrorDesc(err)] = kind
		}
	}
	return kinds
}()

// Classify says what the error of a call tells of its fate. Only errors that
// etcd gives before it changes anything are definite; all others, those of
// gRPC and of the network among them, are history.ErrorUnknown.
func Classify(err error) history.StoreError {
	if err == nil {
		return history.StoreError{}
	}
	s := statusOf(err)
	kind, ok := errorKinds[s.Message()]
	if !ok {
		kind = history.ErrorUnknown
	}
	return history.StoreError{Kind: kind, Message: s.Code().String() + ": " + s.Message()}
}

// statusOf is the status that gRPC makes of a handler's error.
func statusOf(err error) *status.Status {
	if s, ok := status.FromError(err); ok {
		return s
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err)
	}
	return status.New(codes.Unknown, err.Error())
}

// unanswered is the error of a call whose stream ended in good order, but
// without what it had asked for.
func unanswered(why string) history.StoreError {
	return history.StoreError{Kind: history.ErrorUnknown, Message: why}
}

const (
	noAnswer          = "the call ended without an answer"
	undecodableAnswer = "the answer cannot be decoded"
)
